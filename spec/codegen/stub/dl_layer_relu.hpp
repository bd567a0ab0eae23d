// Stub of ESP-DL v1: Relu.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Relu : public Stub<T>
{
    

public:
    Relu(const char *name = "Relu", bool = false) : Stub<T>(name) {}

    void build(Tensor<T> &in) { this->prepare(in.shape, in.exponent); }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        for (int i = 0; i < in.get_size(); i++) out[i] = in.element[i] > 0 ? in.element[i] : 0;
        return this->output;
    }
};
} // namespace layer
} // namespace dl
