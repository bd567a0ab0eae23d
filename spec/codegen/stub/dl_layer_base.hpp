// Stub of ESP-DL v1: what layers share, and the arithmetic: one place for shifts and saturation.
#pragma once

#include "dl_variable.hpp"

namespace dl
{
namespace stub
{
inline int64_t clip(int64_t v, int bits)
{
    int64_t top = ((int64_t)1 << (bits - 1)) - 1;
    return v > top ? top : v < -top - 1 ? -top - 1 : v;
}

// floor(v * 2^left)
inline int64_t scale(int64_t v, int left)
{
    if (left >= 0) return v * ((int64_t)1 << (left > 40 ? 40 : left));
    return left < -63 ? (v < 0 ? -1 : 0) : v >> -left;
}

inline int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

template <typename T> int bits() { return 8 * sizeof(T); }

// floor(sum * 2^left / count), saturated
template <typename T> T average(int64_t sum, int64_t count, int left)
{
    return (T)clip(floor_divide(scale(sum, left), count), bits<T>());
}

template <typename T> T leaky(T x, T slope, int exponent)
{
    return x >= 0 ? x : (T)clip(scale((int64_t)x * slope, exponent), bits<T>());
}

template <typename T> T activate(T x, const Activation<T> *a, int channel)
{
    if (a == NULL || a->type == Linear) return x;
    if (a->type == ReLU) return x > 0 ? x : 0;
    return leaky<T>(x, a->element[a->type == PReLU ? channel : 0], a->exponent);
}
} // namespace stub

namespace layer
{
class Layer
{
public:
    const char *name;
    Layer(const char *name) : name(name) {}
};

// A layer with one output of its own.
template <typename T> class Stub : public Layer
{
protected:
    Tensor<T> output;
    std::vector<int> output_shape;

    void prepare(std::vector<int> shape, int exponent)
    {
        output_shape = shape;
        output.set_shape(shape).set_exponent(exponent).free_element();
    }
    T *start(Tensor<T> &input)
    {
        assert(input.element != NULL && "an input was freed, or is not computed yet");
        output.malloc_element();
        return output.element;
    }

public:
    using Layer::Layer;
    Tensor<T> &get_output() { return output; }
};
} // namespace layer
} // namespace dl
