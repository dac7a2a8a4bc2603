/* h2o_wrap.h: h2o's headers, with our warnings silenced for them. Only server/daemon includes this. */
#ifndef FR_H2O_WRAP_H
#define FR_H2O_WRAP_H
#pragma GCC system_header
#include <h2o.h>
#include <h2o/http1.h>
#endif
