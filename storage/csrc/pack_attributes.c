/* Extended attributes: which go into the archive, and what overlayfs and fuse-overlayfs say by some of them. */
#define _GNU_SOURCE
#include "pack.h"
#include "pack_internal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define CAPABILITY "security.capability"
#define REVISION_2 0x02000000u
#define REVISION_3 0x03000000u
#define REVISION_MASK 0xff000000u

static int by_name(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int starts(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* What image tools keep: containers/storage's archives carry these, too. */
static int wanted(const char *name)
{
	if (starts(name, "user."))
		return !starts(name, "user.overlay.") && !starts(name, "user.fuseoverlayfs.") &&
		       !starts(name, "user.containers.override_stat");
	return !strcmp(name, CAPABILITY) || !strcmp(name, "security.ima");
}

/* A capability of the container's root is, in an archive, one of root without a namespace (capabilities(7)). */
static size_t without_namespace(char *value, size_t length, uint32_t root_uid)
{
	uint32_t magic, root;

	if (length != 24)
		return length;
	memcpy(&magic, value, 4);
	memcpy(&root, value + 20, 4);
	if ((le32toh(magic) & REVISION_MASK) != REVISION_3 || le32toh(root) != root_uid)
		return length;
	magic = htole32((le32toh(magic) & ~REVISION_MASK) | REVISION_2);
	memcpy(value, &magic, 4);
	return 20;
}

/* uid:gid:mode, mode octal; newer tools add a type. */
static void override(struct pk_attributes *found, const char *value)
{
	unsigned uid, gid, mode;
	int used = 0;

	if (sscanf(value, "%u:%u:%o%n", &uid, &gid, &mode, &used) != 3)
		return;
	found->type = 0;
	if (!strcmp(value + used, ":pipe"))
		found->type = '6';
	else if (sscanf(value + used, ":char-%u-%u", &found->major, &found->minor) == 2)
		found->type = '3';
	else if (sscanf(value + used, ":block-%u-%u", &found->major, &found->minor) == 2)
		found->type = '4';
	found->has_override = 1;
	found->uid = uid;
	found->gid = gid;
	found->mode = mode & 07777;
}

/* What an attribute of overlayfs says; value is at most 65536 bytes and has a NUL behind it. */
static void overlay(struct pk_attributes *found, const char *word, const char *value)
{
	if (!strcmp(word, "opaque")) {
		found->opaque |= value[0] == 'y';
		found->xwhiteouts |= value[0] == 'x';
	} else if (!strcmp(word, "whiteout")) {
		found->whiteout = 1;
	} else if (!strcmp(word, "redirect")) {
		found->refused = "it was renamed on a mount with redirect_dir, its content is elsewhere";
	} else if (!strcmp(word, "metacopy")) {
		found->refused = "it was changed on a mount with metacopy, its content is elsewhere";
	}
}

int pk_attributes_read(int fd, struct pk_attributes *found, struct pk_scratch *scratch, int flags, uint32_t root_uid)
{
	int upper = flags & ST_PACK_UPPER, fuse = upper && flags & ST_PACK_FUSE;
	const char *prefix = flags & ST_PACK_USERNS ? "user.overlay." : "trusted.overlay.";
	size_t count = 0, at = 0;
	ssize_t length = flistxattr(fd, scratch->names, sizeof scratch->names);

	found->records.length = 0;
	found->opaque = found->whiteout = found->xwhiteouts = found->has_override = 0;
	found->refused = NULL;
	if (length < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (; at < (size_t)length; at += strlen(scratch->names + at) + 1) {
		if (count == sizeof scratch->sorted / sizeof *scratch->sorted)
			return -E2BIG;
		scratch->sorted[count++] = scratch->names + at;
	}
	qsort(scratch->sorted, count, sizeof *scratch->sorted, by_name);
	for (size_t i = 0; i < count; i++) {
		const char *name = scratch->sorted[i];
		int of_overlay = upper && starts(name, prefix);
		int of_fuse = fuse && !strcmp(name, "user.fuseoverlayfs.opaque");
		int stat = fuse && (!strcmp(name, "user.containers.override_stat") ||
				    !strcmp(name, "user.fuseoverlayfs.override_stat"));
		char key[512] = "SCHILY.xattr.";
		ssize_t got;
		int result;

		if (!wanted(name) && !of_overlay && !of_fuse && !stat)
			continue;
		got = fgetxattr(fd, name, scratch->value, sizeof scratch->value - 1);
		if (got < 0) {
			if (errno == ENODATA)
				continue; /* removed meanwhile */
			return -errno;
		}
		scratch->value[got] = 0;
		if (of_overlay)
			overlay(found, name + strlen(prefix), scratch->value);
		else if (of_fuse)
			overlay(found, "opaque", scratch->value);
		else if (stat)
			override(found, scratch->value);
		if (!wanted(name))
			continue;
		if (strchr(name, '=')) {
			found->refused = "an archive cannot hold an attribute with = in its name";
			return 0;
		}
		if (!strcmp(name, CAPABILITY))
			got = (ssize_t)without_namespace(scratch->value, (size_t)got, root_uid);
		if (strlen(name) + strlen(key) >= sizeof key)
			return -E2BIG;
		strcat(key, name);
		result = pk_record(&found->records, key, scratch->value, (size_t)got);
		if (result)
			return result;
	}
	return 0;
}
