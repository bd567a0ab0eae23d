// Stub of ESP-DL v1: windows over H, W, C.
#pragma once

#include "dl_layer_base.hpp"

namespace dl
{
namespace stub
{
struct Window
{
    std::vector<int> kernel, dilation, padding;
    int stride_y, stride_x;

    Window(std::vector<int> kernel, std::vector<int> dilation, padding_type_t type, std::vector<int> padding, int y, int x)
        : kernel(kernel), dilation(dilation), padding(padding), stride_y(y), stride_x(x)
    {
        assert(type == PADDING_VALID || (type == PADDING_NOT_SET && padding.size() == 4));
        if (type == PADDING_VALID) this->padding = {0, 0, 0, 0};
    }
    int size(int length, int axis, int stride) const
    {
        return (length + padding[2 * axis] + padding[2 * axis + 1] - (kernel[axis] - 1) * dilation[axis] - 1) / stride + 1;
    }
    std::vector<int> output(const std::vector<int> &in, int channels) const
    {
        assert(in.size() == 3);
        return {size(in[0], 0, stride_y), size(in[1], 1, stride_x), channels};
    }
    // Calls visit(kernel y, kernel x, input y, input x) for each element inside of the image.
    template <typename F> void each(const std::vector<int> &in, int y, int x, F visit) const
    {
        for (int h = 0; h < kernel[0]; h++)
            for (int w = 0; w < kernel[1]; w++)
            {
                int iy = y * stride_y - padding[0] + h * dilation[0], ix = x * stride_x - padding[2] + w * dilation[1];
                if (iy >= 0 && iy < in[0] && ix >= 0 && ix < in[1]) visit(h, w, iy, ix);
            }
    }
};
} // namespace stub
} // namespace dl
