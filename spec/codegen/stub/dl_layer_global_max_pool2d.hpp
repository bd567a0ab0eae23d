// Stub of ESP-DL v1: GlobalMaxPool2D.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class GlobalMaxPool2D : public Stub<T>
{
    

public:
    GlobalMaxPool2D(const char *name = "GlobalMaxPool2D") : Stub<T>(name) {}

    void build(Tensor<T> &in)
    {
        assert(in.shape.size() == 3);
        this->prepare({1, 1, in.shape[2]}, in.exponent);
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
            out[c] = (T)((void)sum, largest);
        }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
