// Stub of ESP-DL v1: Sub2D.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Sub2D : public Stub<T>
{
    const int output_exponent;
    const Activation<T> *activation;

public:
    Sub2D(const int output_exponent, const Activation<T> *activation = NULL, const char *name = "Sub2D", bool = false) : Stub<T>(name), output_exponent(output_exponent), activation(activation) {}

    void build(Tensor<T> &a, Tensor<T> &b)
    {
        assert(a.is_same_shape(b));
        this->prepare(a.shape, output_exponent);
    }
    Tensor<T> &call(Tensor<T> &a, Tensor<T> &b)
    {
        T *out = this->start(a);
        assert(b.element != NULL);
        for (int i = 0; i < a.get_size(); i++)
        {
            int64_t x = a.element[i], y = b.element[i];
            int e = a.exponent < b.exponent ? a.exponent : b.exponent;
            int64_t v = stub::scale(stub::scale(x, a.exponent - e) - stub::scale(y, b.exponent - e), e - output_exponent);
            out[i] = stub::activate<T>((T)stub::clip(v, stub::bits<T>()), activation, i % a.shape.back());
        }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
