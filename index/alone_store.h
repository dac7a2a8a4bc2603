/* alone_store.h: originals on disk for an index without a database: an unnamed file, gone with the process. */
#ifndef FR_ALONE_STORE_H
#define FR_ALONE_STORE_H

#include "index/vector_store.h"

/* The file is created by the first write, in folder (copied; NULL = $TMPDIR or /var/tmp). NULL: no memory. */
fr_vector_store *fr_alone_store_create(const char *folder);
void fr_alone_store_free(fr_vector_store *store); /* accepts NULL */

#endif
