/* A directory tree becomes a tar stream, a buffer at a time. */
#include <stddef.h>
#include <stdint.h>

struct st_pack;

/* count ids from inside on (in the container) are those from outside on (on disk). */
struct st_idrange {
	uint32_t inside, outside, count;
};

enum {
	ST_PACK_UPPER = 1,  /* the upper directory of an overlay: whiteouts become .wh.NAME */
	ST_PACK_USERNS = 2, /* that overlay keeps its attributes in user.overlay.*, not in trusted.overlay.* */
	ST_PACK_ONE_FS = 4, /* other file systems' directories stay empty */
	ST_PACK_CHANGES = 8, /* only what differs from the whole tree lowers[0] */
	/* fuse-overlayfs's attributes count. Where the kernel mounts, any user of the container can set those: nobody
	 * may give himself a file of root's that way. */
	ST_PACK_FUSE = 16
};

/* root and lowers (nearest first) are directories; both, and the maps, are copied. NULL and *error on failure. */
struct st_pack *st_pack_open(int root, const int *lowers, size_t lower_count, const struct st_idrange *uids,
			     size_t uid_count, const struct st_idrange *gids, size_t gid_count, int flags,
			     int *error);

/* Fills buffer; how many bytes, 0 at the end of the archive, or -errno: then st_pack_message says where. */
int64_t st_pack_read(struct st_pack *pack, void *buffer, size_t capacity);

/* "PATH: CAUSE", the path as it is on disk; lives as long as pack. */
const char *st_pack_message(const struct st_pack *pack);

/* Files that shrank while they were read: the rest of each is zeros. */
uint64_t st_pack_shrunk(const struct st_pack *pack);

/* Sockets, which an archive cannot hold. */
uint64_t st_pack_sockets(const struct st_pack *pack);

void st_pack_close(struct st_pack *pack);
