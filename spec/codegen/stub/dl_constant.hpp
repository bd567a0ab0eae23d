// Stub of ESP-DL v1, written for our tests: the public classes as its documentation declares them, and their arithmetic
// in plain loops. Constants: filters, biases, activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dl
{
enum activation_type_t { Linear, ReLU, LeakyReLU, PReLU };
enum padding_type_t { PADDING_NOT_SET, PADDING_VALID, PADDING_SAME_BEGIN, PADDING_SAME_END };
enum padding_mode_t { PADDING_EMPTY, PADDING_CONSTANT, PADDING_EDGE, PADDING_REFLECT, PADDING_SYMMETRIC };

template <typename T> class Constant
{
public:
    const T *element;
    const int exponent;
    const std::vector<int> shape;

    Constant(const T *element, const int exponent, const std::vector<int> shape) : element(element), exponent(exponent), shape(shape) {}
};

template <typename T> class Filter : public Constant<T>
{
public:
    const std::vector<int> dilation;
    const int8_t *channel_exponent;
    const int channel_exponent_size;

    Filter(const T *element, const int exponent, const std::vector<int> shape, const std::vector<int> dilation = {1, 1})
        : Constant<T>(element, exponent, shape), dilation(dilation), channel_exponent(NULL), channel_exponent_size(0) {}
    Filter(const T *element, const int8_t *channel_exponent, const int size, const std::vector<int> shape,
           const std::vector<int> dilation = {1, 1})
        : Constant<T>(element, 0, shape), dilation(dilation), channel_exponent(channel_exponent), channel_exponent_size(size) {}
};

template <typename T> class Bias : public Constant<T>
{
public:
    using Constant<T>::Constant;
};

template <typename T> class Activation : public Constant<T>
{
public:
    const activation_type_t type;

    Activation(const activation_type_t type, const T *element = NULL, const int exponent = 0, const std::vector<int> shape = {0})
        : Constant<T>(element, exponent, shape), type(type) {}
};
} // namespace dl
