// Stub of ESP-DL v1: Transpose.
#pragma once

#include "dl_layer_base.hpp"
#include "stub_index.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Transpose : public Stub<T>
{
    std::vector<int> perm;

public:
    Transpose(std::vector<int> perm = {}, const char *name = "Transpose", bool = false) : Stub<T>(name), perm(perm) {}

    void build(Tensor<T> &in)
    {
        assert(perm.size() == in.shape.size());
        std::vector<int> shape;
        for (int p : perm) shape.push_back(in.shape[p]);
        this->prepare(shape, in.exponent);
    }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        for (int i = 0; i < in.get_size(); i++)
        {
            std::vector<int> to = stub::index_of(i, this->output_shape), from(to.size());
            for (size_t k = 0; k < to.size(); k++) from[perm[k]] = to[k];
            out[i] = in.element[stub::position_of(from, in.shape)];
        }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
