// Stub of ESP-DL v1: FullyConnected.
#pragma once

#include "stub_linear.hpp"

namespace dl
{
namespace layer
{
template <typename T, typename B = T> class FullyConnected : public Stub<T>
{
    const int output_exponent;
    const Filter<T> *filter;
    const Bias<B> *bias;
    const Activation<T> *activation;
    const bool flatten;

public:
    FullyConnected(const int output_exponent, const Filter<T> *filter, const Bias<B> *bias = NULL,
                   const Activation<T> *activation = NULL, const bool flatten = true, const char *name = "FullyConnected")
        : Stub<T>(name), output_exponent(output_exponent), filter(filter), bias(bias), activation(activation), flatten(flatten) {}

    void build(Tensor<T> &in)
    {
        assert(filter->shape[0] == 1 && filter->shape[1] == 1);
        assert((flatten ? in.get_size() : in.shape.back()) == filter->shape[2]);
        std::vector<int> shape = flatten ? std::vector<int>{0} : in.shape;
        shape.back() = filter->shape[3];
        this->prepare(shape, output_exponent);
    }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        int I = filter->shape[2], O = filter->shape[3];
        for (int row = 0; row < in.get_size() / I; row++)
            for (int o = 0; o < O; o++)
            {
                int64_t sum = 0;
                for (int i = 0; i < I; i++) sum += (int64_t)in.element[row * I + i] * stub::dense(*filter, o, i, 0, 0);
                out[row * O + o] = stub::finish<T, B>(sum, o, in.exponent, output_exponent, *filter, bias, activation);
            }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
