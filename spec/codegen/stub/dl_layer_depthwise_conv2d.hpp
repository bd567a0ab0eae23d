// Stub of ESP-DL v1: DepthwiseConv2D.
#pragma once

#include "stub_linear.hpp"
#include "stub_window.hpp"

namespace dl
{
namespace layer
{
template <typename T, typename B = T> class DepthwiseConv2D : public Stub<T>
{
    const int output_exponent;
    const Filter<T> *filter;
    const Bias<B> *bias;
    const Activation<T> *activation;
    stub::Window window;

public:
    DepthwiseConv2D(const int output_exponent, const Filter<T> *filter, const Bias<B> *bias = NULL,
       const Activation<T> *activation = NULL, const padding_type_t type = PADDING_VALID, std::vector<int> padding = {},
       const int stride_y = 1, const int stride_x = 1, const char *name = "DepthwiseConv2D")
        : Stub<T>(name), output_exponent(output_exponent), filter(filter), bias(bias), activation(activation),
          window({filter->shape[0], filter->shape[1]}, filter->dilation, type, padding, stride_y, stride_x) {}

    void build(Tensor<T> &in)
    {
        assert(in.shape.size() == 3 && in.shape[2] == filter->shape[2] && filter->shape[3] == 1);
        this->prepare(window.output(in.shape, filter->shape[2]), output_exponent);
    }
    Tensor<T> &call(Tensor<T> &in)
    {
        T *out = this->start(in);
        int W = this->output_shape[1], C = this->output_shape[2];
        for (int y = 0; y < this->output_shape[0]; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < C; c++)
                {
                    int64_t sum = 0;
                    window.each(in.shape, y, x, [&](int h, int w, int iy, int ix) {
                        sum += (int64_t)in.element[(iy * in.shape[1] + ix) * in.shape[2] + c] * stub::depthwise(*filter, c, h, w);
                    });
                    out[(y * W + x) * C + c] = stub::finish<T, B>(sum, c, in.exponent, output_exponent, *filter, bias, activation);
                }
        return this->output;
    }
};
} // namespace layer
} // namespace dl
