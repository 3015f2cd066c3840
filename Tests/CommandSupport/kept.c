// Loaded into a program before all else, this keeps it right before its `main`, where its libraries are initialised (libtorch
// takes a fifth of a second for that), and goes on from there in a new process for every request. Compiled and asked by
// KeptProgram.swift.
//
// A request on standard input is its size in bytes and then strings that end in 0: files for standard output and standard
// error, a file for the status that waitpid tells, the number of arguments, arguments, and the environment. The answer on
// standard output is the number of the process; the first one, without a request, is this one's: it is ready.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int Main(int, char **, char **);
typedef int Start(Main *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
typedef void TellSwift(char **, int);
typedef long SystemCall(long, long, long, long, long, long, long);

static int isKept = 1;

// Swift notes the number of the thread that takes a lock, which is another one in each process that goes on from here: what
// is 0 is asked for again.
long syscall(long number, ...) {
  if (number == SYS_gettid && isKept) return 0;
  va_list list;
  va_start(list, number);
  long words[6];
  for (int i = 0; i < 6; i++) words[i] = va_arg(list, long);
  va_end(list);
  SystemCall *next = (SystemCall *)dlsym(RTLD_NEXT, "syscall");
  return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

static int readAll(void *bytes, size_t count) {
  for (char *at = bytes; count > 0;) {
    ssize_t some = read(STDIN_FILENO, at, count);
    if (some <= 0) return 0;
    at += some;
    count -= some;
  }
  return 1;
}

// An answer is kept apart, since the process has the places of standard input, output and error.
static int redirect(const char *output, const char *error) {
  int answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const char *paths[] = {"/dev/null", output, error};
  for (int place = 0; place < 3; place++) {
    int file = open(paths[place], O_RDWR | O_APPEND | O_NOCTTY | O_CLOEXEC);
    if (file < 0 || dup2(file, place) < 0) _exit(1);
  }
  return answer;
}

// Waits for the process, as the one that keeps the program never does.
static void await(pid_t process, const char *path, int answer) {
  int status;
  if (write(answer, &process, sizeof process) != sizeof process || waitpid(process, &status, 0) != process) _exit(1);
  char unfinished[4096], text[16];
  snprintf(unfinished, sizeof unfinished, "%s~", path);
  int file = open(unfinished, O_WRONLY | O_CREAT, 0600);
  int count = snprintf(text, sizeof text, "%d", status);
  _exit(write(file, text, count) == count && rename(unfinished, path) == 0 ? 0 : 1);
}

// In place of the C library's, which calls a program's `main`.
int __libc_start_main(
    Main *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void), void *stack) {
  Start *start = (Start *)dlsym(RTLD_NEXT, "__libc_start_main");
  TellSwift *tell = (TellSwift *)dlsym(RTLD_DEFAULT, "_swift_stdlib_overrideUnsafeArgvArgc");
  if (!tell) _exit(1);
  signal(SIGCHLD, SIG_IGN);
  pid_t ready = getpid();
  if (write(STDOUT_FILENO, &ready, sizeof ready) != sizeof ready) _exit(1);
  for (uint32_t size; readAll(&size, sizeof size);) {
    char *request = malloc(size);
    if (!request || !readAll(request, size)) _exit(1);
    if (fork() != 0) {
      free(request);
      continue;
    }
    char *strings[4], *at = request;
    for (int i = 0; i < 4; i++, at += strlen(at) + 1) strings[i] = at;
    int answer = redirect(strings[0], strings[1]);
    signal(SIGCHLD, SIG_DFL);
    pid_t process = fork();
    if (process != 0) await(process, strings[2], answer);
    isKept = 0;
    setpgid(0, 0);
    // As `main` finds them: arguments, nothing, the environment, nothing.
    int count = atoi(strings[3]);
    char **words = calloc(size, sizeof *words), **word = words;
    for (int i = 0; i < count; i++, at += strlen(at) + 1) *word++ = at;
    for (word++; at < request + size; at += strlen(at) + 1) *word++ = at;
    environ = words + count + 1;
    // Swift would read those that the program was loaded with.
    tell(words, count);
    return start(main, count, words, init, fini, end, stack);
  }
  _exit(0);
}
