// Stub of ESP-DL v1: GlobalAveragePool2D.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class GlobalAveragePool2D : public Stub<T>
{
    const int output_exponent;

public:
    GlobalAveragePool2D(const int output_exponent, const char *name = "GlobalAveragePool2D") : Stub<T>(name), output_exponent(output_exponent) {}

    void build(Tensor<T> &in)
    {
        assert(in.shape.size() == 3);
        this->prepare({1, 1, in.shape[2]}, output_exponent);
    }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        int C = in.shape[2], count = in.shape[0] * in.shape[1];
        for (int c = 0; c < C; c++)
        {
            int64_t sum = 0, largest = INT16_MIN;
            for (int i = 0; i < count; i++)
            {
                int64_t v = in.element[i * C + c];
                sum += v;
                largest = v > largest ? v : largest;
            }
            out[c] = (T)((void)largest, stub::average<T>(sum, count, in.exponent - output_exponent));
        }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
