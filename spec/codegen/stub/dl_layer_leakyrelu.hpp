// Stub of ESP-DL v1: LeakyRelu.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class LeakyRelu : public Stub<T>
{
    const int alpha, exponent;

public:
    LeakyRelu(const int alpha, const int exponent, const char *name = "LeakyRelu", bool = false) : Stub<T>(name), alpha(alpha), exponent(exponent) {}

    void build(Tensor<T> &in) { this->prepare(in.shape, in.exponent); }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        for (int i = 0; i < in.get_size(); i++) out[i] = stub::leaky<T>(in.element[i], (T)alpha, exponent);
        return this->output;
    }
};
} // namespace layer
} // namespace dl
