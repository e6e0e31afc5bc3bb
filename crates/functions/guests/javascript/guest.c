/* Functions in JavaScript: QuickJS, what it reaches of the host, and what the host calls.
 *
 * One translation unit, so that the compiler sees all of it. At deploy the host calls `flagbase_start`, hands over the
 * prelude and the module, and keeps the memory as it is then; each request begins with that memory. */

#define _GNU_SOURCE
#include "quickjs.c"
#include "libregexp.c"
#include "libunicode.c"
#include "dtoa.c"

#include "imports.h"
#include "wire.h"

#include "libc.c"
#include "host.c"
#include "text.c"
#include "digest.c"
#include "entry.c"
