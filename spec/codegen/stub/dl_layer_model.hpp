// Stub of ESP-DL v1: the base of models.
#pragma once

#include "dl_variable.hpp"

namespace dl
{
namespace layer
{
template <typename T> class Model
{
    std::vector<int> input_shape;

public:
    virtual ~Model() {}
    virtual void build(Tensor<T> &input) = 0;
    virtual void call(Tensor<T> &input) = 0;
    void forward(Tensor<T> &input)
    {
        if (input_shape != input.shape) build(input);
        input_shape = input.shape;
        call(input);
    }
};
} // namespace layer
} // namespace dl
