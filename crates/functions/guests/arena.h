// Memory for guests that answer one request and go: handed out from what the instance has from the start, so that most
// requests never ask the host for more, and only what was handed out last is ever taken back.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARENA_PAGE 65536
#define ARENA_ALIGN 16

extern unsigned char __heap_base;

// Before each block: its size, so that it can be moved.
typedef union {
  size_t size;
  unsigned char room[ARENA_ALIGN];
} arena_head_t;

static uintptr_t arena_top;

static arena_head_t *arena_head(void *block) { return (arena_head_t *)block - 1; }

// Whether memory reaches to `end`, after asking for more where it does not.
static int arena_reaches(uintptr_t end) {
  uintptr_t have = __builtin_wasm_memory_size(0) * ARENA_PAGE;
  if (end <= have) return 1;
  size_t pages = (end - have + ARENA_PAGE - 1) / ARENA_PAGE;
  return __builtin_wasm_memory_grow(0, pages) != (size_t)-1;
}

void *malloc(size_t size) {
  if (arena_top == 0) arena_top = ((uintptr_t)&__heap_base + ARENA_ALIGN - 1) & -(uintptr_t)ARENA_ALIGN;
  if (size > PTRDIFF_MAX - 2 * sizeof(arena_head_t)) return NULL;
  size_t whole = (sizeof(arena_head_t) + size + ARENA_ALIGN - 1) & -(size_t)ARENA_ALIGN;
  if (whole > UINTPTR_MAX - arena_top || !arena_reaches(arena_top + whole)) return NULL;
  arena_head_t *head = (arena_head_t *)arena_top;
  head->size = size;
  arena_top += whole;
  return head + 1;
}

void free(void *block) {
  if (block == NULL) return;
  size_t size = arena_head(block)->size;
  uintptr_t end = ((uintptr_t)block + size + ARENA_ALIGN - 1) & -(uintptr_t)ARENA_ALIGN;
  if (end == arena_top) arena_top = (uintptr_t)arena_head(block);
}

void *calloc(size_t count, size_t size) {
  size_t whole;
  if (__builtin_mul_overflow(count, size, &whole)) return NULL;
  void *block = malloc(whole);
  if (block != NULL) memset(block, 0, whole);
  return block;
}

void *realloc(void *block, size_t size) {
  if (block == NULL) return malloc(size);
  size_t had = arena_head(block)->size;
  if (size <= had) return block;
  void *moved = malloc(size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had);
  free(block);
  return moved;
}
