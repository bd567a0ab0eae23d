// Stub of ESP-DL v1: from the position of an element to its index along each axis.
#pragma once

#include <vector>

namespace dl
{
namespace stub
{
inline std::vector<int> index_of(int at, const std::vector<int> &shape)
{
    std::vector<int> index(shape.size());
    for (size_t i = shape.size(); i-- > 0; at /= shape[i]) index[i] = at % shape[i];
    return index;
}

inline int position_of(const std::vector<int> &index, const std::vector<int> &shape)
{
    int at = 0;
    for (size_t i = 0; i < shape.size(); i++) at = at * shape[i] + index[i];
    return at;
}
} // namespace stub
} // namespace dl
