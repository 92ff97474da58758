/* The greeter of the image that pypod carries: says hello, and what this container is made of.
 *
 * It is the only file of its image, so it is linked statically and looks at nothing but /proc and its environment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The id outside for an id inside, from a map of user_namespaces(7). -1 if it is not mapped. */
static long outside(const char *path, unsigned long id, int *whole)
{
	unsigned long inside, first, count;
	long result = -1;
	FILE *map = fopen(path, "r");
	if (!map)
		return -1;
	while (fscanf(map, "%lu %lu %lu", &inside, &first, &count) == 3) {
		if (id >= inside && id - inside < count)
			result = (long)(first + (id - inside));
		*whole = inside == 0 && first == 0 && count == 4294967295UL;
	}
	fclose(map);
	return result;
}

static void show_user(void)
{
	int whole = 0, ignored = 0;
	unsigned long uid = getuid(), gid = getgid();
	long uid_outside = outside("/proc/self/uid_map", uid, &whole);
	long gid_outside = outside("/proc/self/gid_map", gid, &ignored);
	printf("  user        uid %lu, gid %lu in here", uid, gid);
	if (uid_outside >= 0 && gid_outside >= 0)
		printf("; uid %ld, gid %ld outside", uid_outside, gid_outside);
	if (whole)
		printf("\n              the same ids inside and outside: this container was started by root\n");
	else
		printf("\n              a user namespace of its own: rootless, no power over the host\n");
}

static void show_host(void)
{
	char name[256] = "";
	if (gethostname(name, sizeof(name) - 1) == 0)
		printf("  hostname    %s\n", name);
	printf("  process     pid %ld\n", (long)getpid());
}

static void show_namespaces(void)
{
	static const char *const kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
	const char *label = "namespaces";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64], link[64];
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		ssize_t length = readlink(path, link, sizeof(link) - 1);
		if (length < 0)
			continue;
		link[length] = 0;
		printf("  %-11s %s\n", label, link);
		label = "";
	}
}

/* The mount of "/" in /proc/self/mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS… - TYPE SOURCE SUPER-OPTIONS. */
static void show_storage(void)
{
	static char line[65536]; /* an overlay names all its layers */
	char type[64] = "";
	int in_user_namespace = 0;
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	if (!mounts)
		return;
	while (fgets(line, sizeof(line), mounts)) {
		char point[8];
		char *rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*s %*s %*s %*s %7s", point) != 1 || strcmp(point, "/"))
			continue;
		sscanf(rest, " - %63s", type);
		in_user_namespace = strstr(rest, "userxattr") != NULL;
	}
	fclose(mounts);
	if (!*type)
		return;
	printf("  storage     %s%s\n", type,
	       in_user_namespace ? ", native, mounted inside the user namespace" : "");
}

static void show_environment(const char *label, const char *name)
{
	const char *value = getenv(name);
	if (value && *value)
		printf("  %-11s %s\n", label, value);
}

int main(void)
{
	puts("Hello from pypod!\n\nThis is a container: no daemon started it, and no daemon watches it.\n");
	show_user();
	show_host();
	show_namespaces();
	show_storage();
	show_environment("runtime", "PYPOD_HELLO_RUNTIME");
	show_environment("monitor", "PYPOD_HELLO_MONITOR");
	return fflush(stdout) ? 1 : 0;
}
