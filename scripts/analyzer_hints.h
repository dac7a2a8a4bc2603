/* analyzer_hints.h: included in front of every file that the analyzers read (scripts/analyze.py), by nothing else. They look at one file at a time:
 * that fr_fail() returns the code it was given, and so never FR_OK, is said here. */
#ifndef FR_ANALYZER_HINTS_H
#define FR_ANALYZER_HINTS_H

#include "api/base.h"

#define fr_fail(err, code, ...) ((void)fr_fail(err, code, __VA_ARGS__), (code))

#endif
