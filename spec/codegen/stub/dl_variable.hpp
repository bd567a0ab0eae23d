// Stub of ESP-DL v1: tensors. Every element array is counted, so that the tests see what was not freed.
#pragma once

#include <cassert>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>
#include "dl_constant.hpp"

namespace dl
{
template <typename T> class Tensor
{
    int size = 0;
    bool auto_free = true;

public:
    T *element = NULL;
    int exponent = 0;
    std::vector<int> shape;

    Tensor() {}
    Tensor(const Tensor &) = delete;
    ~Tensor() { free_element(); }

    Tensor &set_element(T *to, const bool free_it = false)
    {
        assert(element == NULL);
        element = to;
        auto_free = free_it;
        return *this;
    }
    Tensor &set_exponent(const int e)
    {
        exponent = e;
        return *this;
    }
    Tensor &set_shape(const std::vector<int> to)
    {
        size = 1;
        for (int d : to) size *= d;
        shape = to;
        return *this;
    }
    int get_size() { return size; }
    bool malloc_element()
    {
        if (element) return false;
        element = (T *)malloc(size * sizeof(T) + 1);
        auto_free = true;
        return true;
    }
    void free_element()
    {
        if (!auto_free || !element) return;
        free(element);
        element = NULL;
    }
    bool is_same_shape(Tensor &other) { return shape == other.shape; }
};
} // namespace dl
