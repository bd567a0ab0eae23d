// Stub of ESP-DL v1: Reshape.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Reshape : public Stub<T>
{
    std::vector<int> shape;

public:
    Reshape(std::vector<int> shape, const char *name = "Reshape", bool = false) : Stub<T>(name), shape(shape) {}

    void build(Tensor<T> &in)
    {
        this->prepare(shape, in.exponent);
        assert(this->output.get_size() == in.get_size());
    }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        for (int i = 0; i < in.get_size(); i++) out[i] = in.element[i];
        return this->output;
    }
};
} // namespace layer
} // namespace dl
