/* The resident part: one process for each container or exec session, one epoll loop, no allocation. */
#ifndef PYPOD_MONITOR_H
#define PYPOD_MONITOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"
#include "text.h"

#define PATH_ROOM 4096
#define READ_SIZE 65536
#define BATCH_SIZE 524288		   /* of one read under load */
#define TAIL_MAX 16384			   /* an unfinished line is held back up to this size */
#define LOG_ROOM (READ_SIZE + TAIL_MAX + 81920) /* of formatted text per write */
/* Payload of one attach packet. Clients read 8193 bytes; but with its first byte and the kernel's own 320 a packet of
 * 7871 is the last that takes 8 KiB of the kernel's memory and not 16, which makes it a quarter cheaper to send. */
#define PACKET_MAX 7868
#define RING_SIZE 327680
#define RING_HIGH 65536			   /* stop reading the container while a client is this far behind */
#define INPUT_SIZE 65536
#define MAX_CLIENTS 64
#define MAX_LOGS 4
#define MAX_FDS 4096
#define COMPLAINT 8191			   /* bytes of the runtime's stderr that are told */

struct monitor;

/* Something the loop waits for. The handlers find out for themselves what happened: events are hints. */
struct source {
	int fd; /* -1: closed */
	void (*ready)(struct monitor *m, struct source *source, unsigned events);
};

/* stdout, stderr or the terminal's master. */
struct stream {
	struct source source;
	int kind;	   /* STREAM_OUT or STREAM_ERR */
	int tty;
	int listening;
	int pending, asked; /* a pipe: it is read in the next turn; it sends a signal when it is written to */
	int resting;	   /* looked at so many times more, without being told */
	int small_reads;   /* in a row, close together */
	size_t last_got;   /* bytes of the last read */
	int64_t last_read; /* ms */
	int64_t burst_at;  /* ms: since then ... */
	size_t burst;	   /* ... so many bytes */
	int pipe_size;	   /* before it was grown; 0: it has not been */
	int pipe_now;	   /* as it has been grown */
	int64_t flush_at;  /* ms: when the held tail is written as a partial line; 0: never */
	int64_t retry_at;  /* ms: when a terminal that nobody had open is looked at again */
	size_t held, heard; /* of an unfinished line; of the runtime */
	char *buffer;	   /* BATCH_SIZE + TAIL_MAX */
};

struct client {
	struct source source;
	int watched; /* the events; -1: not at all */
	int eof, wrote, gone, fresh, cut;
	size_t cursor;	     /* how far in the ring it has been served; ring_head: up to date */
	long long missed;    /* bytes, once it was cut */
	int64_t stalled_at;  /* ms: when it is cut unless it takes something; 0: never */
};

/* A file that the log is written to, and what it has lost. */
struct log_file {
	int fd, dir_fd, regular, json; /* json: Docker's format, else CRI's */
	int torn; /* it ends in half a line */
	const char *path, *name;
	long long size, total, dropped;
	int drop_errno;
	int64_t waited; /* ms since it took something */
};

struct log {
	struct log_file files[MAX_LOGS];
	int n_files, journal_fd, max_files, used;
	long long limit, global_limit, journal_lost;
	int journal_errno;
	int64_t journal_waited; /* ms since it took something */
	struct stamp stamp, utc;
};

struct monitor {
	struct options options;
	int argc;
	char **argv;
	int64_t now; /* ms, monotonic; of the current turn of the loop */
	int epoll, null_fd, bundle_fd;
	int sync_fd, start_fd, attach_fd; /* the caller's pipes; -1: none */
	int stdio_open;			  /* stderr is still the caller's */
	int passthrough, syslog_open;
	int oom_score, oom_score_changed;
	/* Processes. */
	struct source signals, pidfd;
	pid_t pid, runtime_pid, container_pid, exit_command_pid;
	int runtime_done, runtime_status;
	int container_done, container_status, timed_out, registered;
	int early_signal; /* that came before the container's pid was known; 0: none */
	int64_t timeout_at, linger_until;
	pid_t health_pid; /* of the run that goes; 0: none */
	int64_t health_interval, health_at; /* ms; 0: none */
	/* Standard streams. */
	struct stream out, err;
	int aside_in, aside_out; /* a pipe between a container's and us, under load; -1: none */
	struct source input; /* the container's stdin */
	int input_closing;
	size_t input_at, input_held;
	int child_in, child_out, child_err; /* the container's ends until the runtime has them */
	/* Terminal. */
	struct source console_listener, console;
	char console_path[108];
	int rows, columns; /* a size that arrived before the terminal */
	struct source ctl, winsz;
	struct ctl_reader ctl_reader, winsz_reader;
	/* Attach. */
	struct source listener;
	struct client clients[MAX_CLIENTS];
	int n_clients, next_turn, accept_failed;
	int64_t accept_at;   /* ms: when the listener is looked at again; 0: it is */
	int64_t drain_until; /* ms: patience with clients after the container's end; 0: not begun */
	size_t ring_head;
	/* The rest. */
	struct log log;
	struct source oom_event, notify;
	char oom_path[512];
	long long oom_count, oom_kill_count;
	int oom_fd;
	int notify_out;
	int64_t idle_at;
	long nap; /* ns */
	char complaint[COMPLAINT]; /* of the runtime, if it has said very much */
	size_t complaint_length;
	unsigned char inherited[MAX_FDS / 8];
	int inherited_more;
	/* Large buffers, touched only under load. */
	char out_buffer[BATCH_SIZE + TAIL_MAX] __attribute__((aligned(4096)));
	char err_buffer[BATCH_SIZE + TAIL_MAX] __attribute__((aligned(4096)));
	char log_buffer[LOG_ROOM] __attribute__((aligned(4096)));
	char ring[RING_SIZE] __attribute__((aligned(4096)));
	char input_buffer[INPUT_SIZE] __attribute__((aligned(4096)));
};

/* report.c: the monitor's own messages, and the answers on the sync pipe. Levels: 0 error … 4 trace. */
void say(struct monitor *m, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Report an error to whoever waits, run the exit command if it is due, and exit with 1. */
void fail(struct monitor *m, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));
/* Returns 0 if the message was delivered. */
int sync_send(struct monitor *m, const char *key, long long number, const char *text, size_t length);
const char *sync_key(const struct monitor *m);

/* sys.c: small services. */
int64_t now_ms(void);
int write_all(int fd, const void *data, size_t length);
ssize_t read_file(const char *path, char *out, size_t room); /* -1 and errno */
size_t decimal(char *out, long long value);		     /* with a NUL; the length */
/* Write a whole file beside `path` and rename it over. -1 and errno. */
int replace_file(const char *path, const char *text, size_t length);
int join_path(char *out, size_t room, const char *directory, const char *name); /* -1: too long */
void record_inherited(struct monitor *m);
void forget_inherited(struct monitor *m, int fd);
void close_inherited(struct monitor *m);
void close_from(int first);
void close_fd(int *fd);
void leave(int status) __attribute__((noreturn)); /* end the process, without handlers */
void set_cloexec(int fd);
void default_signals(void);

/* loop.c */
void watch(struct monitor *m, struct source *source, unsigned events);
void rewatch(struct monitor *m, struct source *source, unsigned events);
void unwatch(struct monitor *m, struct source *source);
void drop(struct monitor *m, struct source *source); /* unwatch and close */
void loop(struct monitor *m, int (*over)(const struct monitor *m)); /* until it says so */
void sooner(int64_t *deadline, int64_t other); /* 0 means none */

/* start.c */
void read_environment(struct monitor *m);
void wait_for_start(struct monitor *m);
void leave_stdio(struct monitor *m);
void become_monitor(struct monitor *m);

/* runtime.c */
void runtime_start(struct monitor *m);
void runtime_finished(struct monitor *m);

/* children.c: signals and the processes' ends. */
void signals_block(struct monitor *m);
void signals_open(struct monitor *m);
void watch_container(struct monitor *m);
void reap(struct monitor *m);
void timeout_fire(struct monitor *m);

/* listen.c: waiting for what the container writes. */
void stream_listen(struct monitor *m, struct stream *stream);
void stream_ignore(struct monitor *m, struct stream *stream);
void stream_ask(struct stream *stream, int on); /* for a signal at the next write */
void stream_empty(struct stream *stream);
void stream_signal(const struct monitor *m, const struct stream *stream); /* which one it sends */
void stream_signalled(struct stream *stream);
int streams_due(const struct monitor *m);
void streams_read(struct monitor *m);

/* stdio.c: what the container writes. pace.c: how fast. */
void stdio_open(struct monitor *m);
void stdio_close_child_ends(struct monitor *m);
void stdio_listen(struct monitor *m);
void stdio_hear(struct monitor *m);  /* the runtime */
void stdio_heard(struct monitor *m); /* it has ended; from now on it is the container */
size_t stream_hear(struct monitor *m, struct stream *stream);
void stdio_timers(struct monitor *m);
void stdio_deadline(struct monitor *m, int64_t *deadline);
void stdio_resume(struct monitor *m);
void stdio_rest(struct monitor *m); /* let short lines gather, if many come */
int stdio_resting(const struct monitor *m);
void stream_ready(struct monitor *m, struct source *source, unsigned events);
void stream_pace(struct monitor *m, struct stream *stream, size_t got); /* a read has brought so much */
size_t stream_batch(const struct monitor *m, const struct stream *stream); /* how much to read at a time */
ssize_t stream_read(struct monitor *m, struct stream *stream, char *to, size_t most); /* as read(2) */
void stream_shrink(struct stream *stream);
void aside_close(struct monitor *m);
void buffers_touched(struct monitor *m, size_t length);
void release_buffers(struct monitor *m);
void stdio_drain(struct monitor *m);	 /* read what is there now */
int stdio_ended(const struct monitor *m); /* nobody can write any more */
void stdio_close(struct monitor *m);
void stream_open(struct monitor *m, struct stream *stream, int fd, int kind, int tty);
/* input.c: what it reads. */
void input_ready(struct monitor *m, struct source *source, unsigned events);
void input_write(struct monitor *m, size_t length); /* of input_buffer; only while !input_blocked() */
int input_blocked(const struct monitor *m);
void input_end(struct monitor *m); /* close once what is pending is written */

/* attach.c: the socket and its clients. */
void attach_open(struct monitor *m);
void attach_accept(struct monitor *m);
void attach_ready(struct monitor *m); /* tell the caller of an exec session */
void attach_poll(struct monitor *m);
void attach_timers(struct monitor *m);
void attach_deadline(struct monitor *m, int64_t *deadline);
void attach_close(struct monitor *m);
void attach_finish(struct monitor *m, int64_t until);
void client_lost(struct monitor *m, struct client *client); /* it is closed when its turn comes */
void client_cut(struct monitor *m, struct client *client);

/* backlog.c: what they are sent. */
void attach_send(struct monitor *m, int kind, const char *data, size_t length);
int attach_backlogged(const struct monitor *m);
int client_behind(const struct monitor *m, const struct client *client);
long long client_backlog(const struct monitor *m, const struct client *client); /* bytes */
void client_pump(struct monitor *m, struct client *client);
void clients_serve(struct monitor *m, int64_t deadline);
void ring_trim(struct monitor *m, int needed);

/* terminal.c */
void console_open(struct monitor *m);
void console_close(struct monitor *m);
void ctl_open(struct monitor *m);
void set_size(struct monitor *m, int rows, int columns);

/* logfile.c, journal.c */
void log_open(struct monitor *m); /* fails with what is wrong */
void log_lines(struct monitor *m, int kind, const char *data, size_t length);
void log_partial(struct monitor *m, int kind, const char *data, size_t length);
void log_reopen(struct monitor *m);
void log_close_and_sync(struct monitor *m);
int journal_open(struct monitor *m); /* -1 and errno */
void journal_close(struct monitor *m);
void journal_lines(struct monitor *m, int kind, const char *data, size_t length);
void journal_send(struct monitor *m, int kind, const char *data, size_t length, int partial);

/* oom.c, notify.c */
void oom_adjust(struct monitor *m);
void oom_restore(const struct monitor *m);
void oom_watch(struct monitor *m);
void oom_check(struct monitor *m);
void notify_open(struct monitor *m);

/* health.c */
void health_set(struct monitor *m, int seconds, int milliseconds); /* between two runs; 0 0: no more */
void health_deadline(struct monitor *m, int64_t *deadline);
void health_timer(struct monitor *m);
void health_ended(struct monitor *m);
void health_end(struct monitor *m);

/* exit.c */
/* In a child: become `program` with the words of `list`, `delay` seconds from now. */
void call_back(struct monitor *m, const char *program, int list, int delay) __attribute__((noreturn));
int finish(struct monitor *m);
void run_exit_command(struct monitor *m); /* and wait for it */
void exit_command_ended(struct monitor *m, int status);

#endif
