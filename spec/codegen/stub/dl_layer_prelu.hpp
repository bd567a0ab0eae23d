// Stub of ESP-DL v1: PRelu.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class PRelu : public Stub<T>
{
    const T *slopes;
    const int exponent;

public:
    PRelu(const T *slopes, const int exponent = 0, const char *name = "PRelu", bool = false) : Stub<T>(name), slopes(slopes), exponent(exponent) {}

    void build(Tensor<T> &in) { this->prepare(in.shape, in.exponent); }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        for (int i = 0; i < in.get_size(); i++) out[i] = stub::leaky<T>(in.element[i], slopes[i % in.shape.back()], exponent);
        return this->output;
    }
};
} // namespace layer
} // namespace dl
