// Stub of ESP-DL v1: Pad.
#pragma once

#include "dl_layer_base.hpp"
#include "stub_index.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Pad : public Stub<T>
{
    std::vector<int> paddings;
    std::vector<T> values;
    padding_mode_t mode;

    // The index along one axis that an index of the output reads; -1: the constant.
    int source(int i, int size)
    {
        if (i >= 0 && i < size) return i;
        if (mode == PADDING_CONSTANT) return -1;
        if (mode == PADDING_EDGE) return i < 0 ? 0 : size - 1;
        assert(mode == PADDING_REFLECT);
        return i < 0 ? -i : 2 * size - 2 - i;
    }

public:
    Pad(std::vector<int> paddings, std::vector<T> values = {0}, padding_mode_t mode = PADDING_CONSTANT, const char *name = "Pad")
        : Stub<T>(name), paddings(paddings), values(values), mode(mode) {}

    void build(Tensor<T> &in)
    {
        assert(paddings.size() == 2 * in.shape.size() && values.size() == 1);
        std::vector<int> shape = in.shape;
        for (size_t i = 0; i < shape.size(); i++) shape[i] += paddings[2 * i] + paddings[2 * i + 1];
        this->prepare(shape, in.exponent);
    }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        for (int i = 0; i < this->output.get_size(); i++)
        {
            std::vector<int> index = stub::index_of(i, this->output_shape);
            bool inside = true;
            for (size_t k = 0; k < index.size(); k++)
            {
                index[k] = source(index[k] - paddings[2 * k], in.shape[k]);
                inside = inside && index[k] >= 0;
            }
            out[i] = inside ? in.element[stub::position_of(index, in.shape)] : values[0];
        }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
