/*
 * profile_file: profile IDs from a file of ours.
 *
 * Private to daemon. One line for each: the id, a blank, and the links it stands for, like
 *     oma:example </1/0>;ver=1.2,</3/0>
 * Empty lines and those that begin with '#' are left out.
 */
#ifndef DAEMON_PROFILE_FILE_H
#define DAEMON_PROFILE_FILE_H

#include "model/model.h"

/* Takes what is in the file ("": nothing) in place of what was in it before. On failure nothing has
 * changed, and *ret_line (0: the whole file) says where it is wrong: ERR_MALFORMED (no such line,
 * no id, no links), ERR_DUPLICATE, ERR_FULL, ERR_TOOLARGE, ERR_NOTFOUND, ERR_IO, ERR_NOMEM. */
int profile_file_load(const char *path, struct profiles *p, unsigned *ret_line);

#endif
