// Stands in for ESP-DL v3's header when the generated program is compiled here: its names and types, a model whose test is
// told by the environment.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

typedef int esp_err_t;
#define ESP_OK 0
#define ESP_FAIL -1

namespace fbs {
typedef enum { MODEL_LOCATION_IN_FLASH_RODATA, MODEL_LOCATION_IN_FLASH_PARTITION } model_location_type_t;
}

namespace dl {
typedef enum { DATA_TYPE_INT8, DATA_TYPE_INT16, DATA_TYPE_FLOAT } dtype_t;

class TensorBase {
 public:
  void *data;
  int size;
  int get_size() { return size; }
  dtype_t get_dtype() { return DATA_TYPE_INT8; }
};

class Model {
  int8_t numbers[4] = {-3, 7, 100, 2};
  TensorBase tensor{numbers, 4};
  std::map<std::string, TensorBase *> outputs{{"output", &tensor}};

 public:
  Model(const char *, fbs::model_location_type_t) {}
  virtual ~Model() {}
  virtual esp_err_t test() { return getenv("ESPQ_STUB_FAILS") ? ESP_FAIL : ESP_OK; }
  virtual void profile(bool = false) {}
  std::map<std::string, TensorBase *> &get_outputs() { return outputs; }
};
}  // namespace dl
