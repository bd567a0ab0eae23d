// Stub of ESP-DL v1: Max2D.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Max2D : public Stub<T>
{
    

public:
    Max2D(const char *name = "Max2D", bool = false) : Stub<T>(name) {}

    void build(Tensor<T> &a, Tensor<T> &b)
    {
        assert(a.is_same_shape(b) && a.exponent == b.exponent);
        this->prepare(a.shape, a.exponent);
    }
    Tensor<T> &call(Tensor<T> &a, Tensor<T> &b)
    {
        T *out = this->start(a);
        assert(b.element != NULL);
        for (int i = 0; i < a.get_size(); i++)
        {
            int64_t x = a.element[i], y = b.element[i];
            out[i] = (T)(x > y ? x : y);
        }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
