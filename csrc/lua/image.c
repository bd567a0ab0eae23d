/* Pictures: core.image_decode, core.image_resize, core.image_load. */
#include "image/image.h"

#include "base/alloc.h"
#include "lua/espq_lua.h"

enum { MAX_FILES = 4096 };

static void free_pixels(espq_storage *storage, void *owner) {
  (void)storage;
  espq_free(owner);
}

/* The image as a tensor that owns its pixels; they are gone when this fails. */
static espq_status to_tensor(espq_image *image, espq_tensor **out, espq_error *err) {
  int64_t dim[] = {image->height, image->width, image->channels};
  espq_status status = espq_tensor_wrap(ESPQ_U8, 3, dim, image->pixels, free_pixels, image->pixels, out, err);
  if (status) espq_free(image->pixels);
  return status;
}

static int opt_channels(lua_State *L, int arg) {
  lua_Integer channels = luaL_optinteger(L, arg, 0);
  luaL_argcheck(L, channels == 0 || channels == 1 || channels == 3, arg, "1 or 3 channels expected");
  return (int)channels;
}

/* core.image_decode(bytes[, channels]) */
static int image_decode(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 2);
  int channels = opt_channels(L, 2);
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  espq_image image;
  espq_error err;
  espq_status status = espq_image_decode(bytes, size, channels, &image, &err);
  if (!status) status = to_tensor(&image, out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

static int check_side(lua_State *L, int arg, lua_Integer least) {
  lua_Integer side = luaL_checkinteger(L, arg);
  luaL_argcheck(L, side >= least && side <= ESPQ_IMAGE_MAX_SIDE, arg, "no size of an image");
  return (int)side;
}

/* core.image_resize(t, height, width[, shorter]) */
static int image_resize(lua_State *L) {
  espq_tensor **out = espq_lua_result(L, 4);
  int height = check_side(L, 2, 1), width = check_side(L, 3, 1), shorter = lua_isnil(L, 4) ? 0 : check_side(L, 4, 1);
  const espq_tensor *t = espq_lua_checktensor(L, 1);
  luaL_argcheck(L,
                t->dtype == ESPQ_U8 && t->rank == 3 && t->count > 0 && t->dim[0] <= ESPQ_IMAGE_MAX_SIDE &&
                    t->dim[1] <= ESPQ_IMAGE_MAX_SIDE && (t->dim[2] == 1 || t->dim[2] == 3),
                1, "uint8 height x width x 1 or 3 expected");
  espq_image in = {(int)t->dim[0], (int)t->dim[1], (int)t->dim[2], t->data}, image;
  espq_error err;
  espq_status status = espq_image_resize(&in, height, width, shorter, &image, &err);
  if (!status) status = to_tensor(&image, out, &err);
  return espq_lua_tensor_done(L, *out, status, &err);
}

/* --- core.image_load --- */

/* What core.image_load takes beside the paths; these arguments are put at these stack indexes. */
enum { ARG_HEIGHT = 3, ARG_WIDTH, ARG_CHANNELS, ARG_SHORTER, ARG_BGR, ARG_PLANAR, ARG_TABLE, ARG_THREADS };
static const char *const options[] = {"height", "width", "channels", "shorter", "bgr",
                                      "planar", "table", "threads",  NULL};

static espq_image_form check_form(lua_State *L) {
  espq_image_form form = {.height = check_side(L, ARG_HEIGHT, 1),
                          .width = check_side(L, ARG_WIDTH, 1),
                          .channels = opt_channels(L, ARG_CHANNELS),
                          .shorter = lua_isnil(L, ARG_SHORTER) ? 0 : check_side(L, ARG_SHORTER, -1),
                          .bgr = lua_toboolean(L, ARG_BGR),
                          .planar = lua_toboolean(L, ARG_PLANAR)};
  luaL_argcheck(L, form.channels, 2, "channels: 1 or 3 expected");
  const espq_tensor *table = espq_lua_checktensor(L, ARG_TABLE);
  luaL_argcheck(L, table->dtype == ESPQ_F32 && table->count == 256 * form.channels, 2,
                "table: float32 channels x 256 expected");
  form.table = table->data;
  return form;
}

/* The list's strings, which the list keeps alive. */
static void check_paths(lua_State *L, int n, const char **paths) {
  for (int i = 0; i < n; i++) {
    if (lua_rawgeti(L, 1, i + 1) != LUA_TSTRING) luaL_argerror(L, 1, "a list of paths expected");
    paths[i] = espq_lua_checkname(L, -1);
    lua_pop(L, 1);
  }
}

/* nil, message, code, and a list of all messages. */
static int push_problems(lua_State *L, const espq_error *err, const espq_error *problems, int n) {
  espq_lua_fail(L, err);
  lua_newtable(L);
  for (int i = 0; i < n; i++) {
    if (!problems[i].status) continue;
    lua_pushstring(L, problems[i].text);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  return 4;
}

/* core.image_load(paths, {height =, width =, channels =, shorter =, bgr =, planar =, table =, threads =}) */
static int image_load(lua_State *L) {
  lua_settop(L, 2);
  int n = espq_lua_checklist(L, 1, MAX_FILES);
  espq_lua_checkfields(L, 2, options);
  for (int i = 0; options[i]; i++) lua_getfield(L, 2, options[i]);
  const char **paths = espq_lua_scratch(L, (size_t)n + 1, sizeof *paths);
  espq_error *problems = espq_lua_scratch(L, (size_t)n + 1, sizeof *problems), err;
  int threads = (int)luaL_optinteger(L, ARG_THREADS, 0);
  espq_tensor **out = espq_lua_newtensor(L);
  check_paths(L, n, paths);
  espq_image_form form = check_form(L);
  int64_t hwc[] = {n, form.height, form.width, form.channels}, chw[] = {n, form.channels, form.height, form.width};
  espq_status status = espq_tensor_new(ESPQ_F32, 4, form.planar ? chw : hwc, out, &err);
  if (status) return espq_lua_fail(L, &err);
  status = espq_image_load(paths, (size_t)n, &form, threads, (*out)->data, problems, &err);
  return status ? push_problems(L, &err, problems, n) : espq_lua_tensor_done(L, *out, status, &err);
}

void espq_lua_open_image(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"image_decode", image_decode}, {"image_load", image_load}, {"image_resize", image_resize}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
