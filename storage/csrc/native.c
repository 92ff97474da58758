#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <unistd.h>

int st_syncfs(int fd)
{
	return syncfs(fd) < 0 ? -errno : 0;
}
