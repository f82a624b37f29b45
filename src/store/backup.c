#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_PAGES 1024

static int file_error(void)
{
    switch (errno) {
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_DISKFULL;
    default:
        return ERR_IO;
    }
}

/* A new file for us alone: the database holds identities. */
static int create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0)
        return file_error();
    close(fd);
    return ERR_OK;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    int rc = ERR_OK;

    if (fd < 0)
        return file_error();
    if (fsync(fd) < 0)
        rc = file_error();
    close(fd);
    return rc;
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct buf folder;
    int rc;

    buf_init(&folder, PATH_MAX);
    if (slash)
        buf_put(&folder, path, (size_t)(slash - path) + 1);
    else
        buf_put_u8(&folder, '.');
    rc = buf_cstr(&folder) ? sync_path(buf_cstr(&folder), O_DIRECTORY) : folder.rc;
    buf_fini(&folder);
    return rc;
}

static int copy_pages(sqlite3 *to, sqlite3 *from)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int result = SQLITE_OK;

    if (!b)
        return db_error(to, sqlite3_errcode(to));
    while (result == SQLITE_OK)
        result = sqlite3_backup_step(b, STEP_PAGES);
    sqlite3_backup_finish(b);
    return result == SQLITE_DONE ? ERR_OK : db_error(to, result);
}

static int copy(sqlite3 *from, const char *path)
{
    sqlite3 *to = NULL;
    /* Without this transaction each commit of the writer would start the copy from the beginning.
     */
    int rc = db_exec(from, "BEGIN; SELECT count(*) FROM meta");

    if (rc == ERR_OK)
        rc = db_check(to, sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL));
    if (rc == ERR_OK)
        rc = copy_pages(to, from);
    db_close(to);
    if (!sqlite3_get_autocommit(from))
        db_exec(from, "COMMIT");
    return rc < 0 ? rc : sync_path(path, 0);
}

int backup_run(sqlite3 *db, const char *to_path)
{
    struct buf part;
    const char *path;
    int rc;

    buf_init(&part, PATH_MAX);
    buf_fmt(&part, "%s.part", to_path);
    path = buf_cstr(&part);
    if (!path) {
        rc = part.rc;
        goto out;
    }
    rc = create(to_path); /* the name is ours from here on */
    if (rc < 0)
        goto out;
    rc = create(path);
    if (rc == ERR_OK) {
        rc = copy(db, path);
        if (rc == ERR_OK && rename(path, to_path) < 0)
            rc = file_error();
        if (rc < 0)
            unlink(path);
    }
    if (rc < 0)
        unlink(to_path);
    else
        rc = sync_folder(to_path);
out:
    buf_fini(&part);
    return rc;
}
