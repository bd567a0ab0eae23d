// Stub of ESP-DL v1: Concat.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Concat : public Stub<T>
{
    int axis;

public:
    Concat(int axis, const char *name = "Concat") : Stub<T>(name), axis(axis) {}

    void build(std::vector<Tensor<T> *> in)
    {
        std::vector<int> shape = in[0]->shape;
        for (size_t k = 1; k < in.size(); k++)
        {
            assert(in[k]->exponent == in[0]->exponent && in[k]->shape.size() == shape.size());
            for (size_t i = 0; i < shape.size(); i++) assert((int)i == axis || in[k]->shape[i] == shape[i]);
            shape[axis] += in[k]->shape[axis];
        }
        this->prepare(shape, in[0]->exponent);
    }
    Tensor<T> &call(std::vector<Tensor<T> *> in, bool = false)
    {
        T *out = this->start(*in[0]);
        int outer = 1;
        for (int i = 0; i < axis; i++) outer *= this->output_shape[i];
        for (int o = 0; o < outer; o++)
            for (Tensor<T> *t : in)
            {
                int run = t->get_size() / outer;
                for (int i = 0; i < run; i++) *out++ = t->element[o * run + i];
            }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
