// Stub of ESP-DL v1: MaxPool2D.
#pragma once

#include "stub_window.hpp"

namespace dl
{
namespace layer
{
template <typename T> class MaxPool2D : public Stub<T>
{
    
    stub::Window window;

public:
    MaxPool2D(const std::vector<int> filter_shape, const padding_type_t type = PADDING_VALID,
       std::vector<int> padding = {}, const int stride_y = 1, const int stride_x = 1, const char *name = "MaxPool2D")
        : Stub<T>(name), window(filter_shape, {1, 1}, type, padding, stride_y, stride_x) {}

    void build(Tensor<T> &in) { this->prepare(window.output(in.shape, in.shape[2]), in.exponent); }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        int W = this->output_shape[1], C = this->output_shape[2];
        for (int y = 0; y < this->output_shape[0]; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < C; c++)
                {
                    int64_t sum = 0, largest = INT16_MIN, count = 0;
                    window.each(in.shape, y, x, [&](int, int, int iy, int ix) {
                        int64_t v = in.element[(iy * in.shape[1] + ix) * C + c];
                        sum += v;
                        largest = v > largest ? v : largest;
                        count++;
                    });
                    out[(y * W + x) * C + c] = (T)((void)sum, largest);
                }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
