/* alone_store.h: originals on disk for an index without a database: an unnamed file, gone with the process, and the file it was opened from. */
#ifndef FR_ALONE_STORE_H
#define FR_ALONE_STORE_H

#include "index/vector_store.h"

/* The file is created by the first write, in folder (copied; NULL = $TMPDIR or /var/tmp). NULL: no memory. */
fr_vector_store *fr_alone_store_create(const char *folder);
/* NOT_FOUND or IO when no file can be made in it. */
fr_code fr_alone_folder_check(const char *folder, fr_err *err);
/* A file that is only read, and open as long as the store (its descriptor is duplicated): number FR_ALONE_FILE_ATTACHED in reads. */
#define FR_ALONE_FILE_ATTACHED 1u
bool fr_alone_store_attach(fr_vector_store *store, int descriptor);
void fr_alone_store_free(fr_vector_store *store); /* accepts NULL */

#endif
