# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Everything built goes under .out/; V=1 shows the commands.

OUT := .out
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
CC := gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
KERNEL ?= 6.1
FUZZ_S ?= 10
BENCH ?= steer tcp
BENCH_ARGS ?=

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif

.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

GIT_REV := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
INCLUDES := -Imaps -Ibpf -Iconfig -Iloader -Iuser -Iuser/worker -Iuser/transport -Iuser/gateway -Iuser/control -Iuser/measure -I$(OUT)/skel
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(INCLUDES) -fPIC -fvisibility=hidden -pthread $(CFLAGS)
LDLIBS := -lbpf -lcyaml -lyaml -ljansson -lsystemd -pthread
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wshadow -Werror -Imaps -Ibpf \
	-I/usr/include/$(shell uname -m)-linux-gnu

# The library is what a program that embeds a worker links; the command adds main, cmd/ and measure/.
LIB_SRC := $(wildcard maps/*.c config/*.c loader/*.c user/worker/*.c user/transport/*.c user/gateway/*.c user/control/*.c)
CMD_SRC := $(wildcard user/*.c user/cmd/*.c user/measure/*.c)
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:%.bpf.c=$(OUT)/%.bpf.o)
SKEL := $(BPF_SRC:bpf/%.bpf.c=$(OUT)/skel/%.skel.h)
LIB_OBJ := $(LIB_SRC:%.c=$(OUT)/obj/%.o)
CMD_OBJ := $(CMD_SRC:%.c=$(OUT)/obj/%.o)

UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(OUT)/%)
TSAN_SRC := $(wildcard tests/tsan/test_*.c)
TSAN_BIN := $(TSAN_SRC:%.c=$(OUT)/%)
PROG_SRC := $(wildcard tests/prog/test_*.c)
PROG_BIN := $(PROG_SRC:%.c=$(OUT)/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(OUT)/%)
MAN := $(patsubst docs/%.scd,$(OUT)/man/%,$(wildcard docs/*.scd))

.PHONY: all
all: $(OUT)/xsr $(OUT)/libxsr.a $(OUT)/libxsr.so $(BPF_OBJ) $(MAN) $(OUT)/xsr.pc

# --- the kernel's part ---

$(OUT)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@

# bpftool names the skeleton's struct after the object file: steer_bpf without this.
$(OUT)/skel/%.skel.h: $(OUT)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# --- library and command ---

$(OUT)/obj/%.o: %.c | $(SKEL)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The revision is a file that changes only when it does, so a commit rebuilds one object.
$(OUT)/git_rev.h: FORCE
	@mkdir -p $(@D)
	@echo '#define XSR_GIT_REV "$(GIT_REV)"' | cmp -s - $@ || echo '#define XSR_GIT_REV "$(GIT_REV)"' > $@
$(OUT)/obj/user/worker/version.o: $(OUT)/git_rev.h
$(OUT)/obj/user/worker/version.o $(OUT)/san/user/worker/version.o $(OUT)/tsan/user/worker/version.o: ALL_CFLAGS += -I$(OUT)
.PHONY: FORCE
FORCE:

$(OUT)/libxsr.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(OUT)/libxsr.so: $(LIB_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libxsr.so.1 -Wl,--no-undefined -Wl,--as-needed -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(OUT)/xsr: $(CMD_OBJ) $(OUT)/libxsr.a
	$(call say,LD,$@)
	$(Q)$(CC) -Wl,--as-needed -o $@ $^ $(LDFLAGS) $(LDLIBS)

$(OUT)/xsr.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'Name: xsr' 'Description: XDP session router: embed a worker' 'Version: 1.0' \
		'Libs: -L$(LIBDIR) -lxsr' 'Libs.private: $(LDLIBS)' 'Cflags: -I$(PREFIX)/include' > $@

$(OUT)/man/%: docs/%.scd
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)scdoc < $< > $@

# --- tests ---

SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_OBJ := $(patsubst %.c,$(OUT)/san/%.o,$(LIB_SRC) $(filter-out user/main.c,$(CMD_SRC)))

$(OUT)/san/%.o: %.c | $(SKEL)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SAN) -O1 -MMD -MP -c $< -o $@
$(OUT)/san/user/worker/version.o: $(OUT)/git_rev.h

$(OUT)/san/libxsr.a: $(SAN_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(OUT)/tests/unit/%: $(OUT)/san/tests/unit/%.o $(OUT)/san/libxsr.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ -lcmocka $(LDLIBS)

# -Wno-tsan: it does not know fences; the only one stands between the control thread and the kernel.
TSAN := -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan
TSAN_OBJ := $(patsubst %.c,$(OUT)/tsan/%.o,$(LIB_SRC))

$(OUT)/tsan/%.o: %.c | $(SKEL)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(TSAN) -Itests/unit -O1 -MMD -MP -c $< -o $@
$(OUT)/tsan/user/worker/version.o: $(OUT)/git_rev.h

$(OUT)/tsan/libxsr.a: $(TSAN_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(OUT)/tests/tsan/%: $(OUT)/tsan/tests/tsan/%.o $(OUT)/tsan/libxsr.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TSAN) -o $@ $^ -lcmocka $(LDLIBS)

$(OUT)/tests/prog/%: $(OUT)/obj/tests/prog/%.o $(OUT)/libxsr.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ -lcmocka $(LDLIBS)

# Fuzz targets take what they test as source: it must be instrumented.
FUZZ_FLAGS := -std=gnu17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
FUZZED := $(wildcard config/*.c user/transport/chunk.c user/transport/tcp.c)
$(OUT)/tests/fuzz/%: tests/fuzz/%.c $(FUZZED) $(wildcard config/*.h bpf/*.h maps/*.h user/transport/*.h tests/unit/chance.h)
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) $(INCLUDES) -o $@ $< $(FUZZED) -lcyaml -lyaml

.PHONY: unit tsan prog e2e fuzz soak check
unit: $(UNIT_BIN)
	$(Q)tests/run.sh unit
tsan: $(TSAN_BIN)
	$(Q)tests/run.sh tsan
prog: $(PROG_BIN) all
	$(Q)tests/run.sh prog
e2e: all
	$(Q)tests/run.sh e2e
fuzz: $(FUZZ_BIN)
	$(Q)FUZZ_S=$(FUZZ_S) tests/run.sh fuzz
soak: all
	$(Q)tests/run.sh soak
check: deps
	$(Q)$(MAKE) --no-print-directory all $(UNIT_BIN) $(TSAN_BIN) $(PROG_BIN) $(FUZZ_BIN)
	$(Q)FUZZ_S=$(FUZZ_S) tests/run.sh unit tsan prog e2e fuzz

.PHONY: demo bench vm
demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo.sh
bench: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)for bench in $(BENCH); do $(OUT)/xsr bench $$bench $(BENCH_ARGS) || exit; done
vm: all $(PROG_BIN)
	$(Q)vm/run.sh $(KERNEL)

# --- set-up and the rest ---

DEPS := gcc clang llvm libclang-rt-14-dev bpftool libbpf-dev libxdp-dev libcmocka-dev libcyaml-dev libyaml-dev libjansson-dev \
	libsystemd-dev scdoc iproute2 procps util-linux

.PHONY: deps
deps:
	$(Q)tests/deps.sh $(DEPS)

.PHONY: install
install: all
	install -D -m 0755 $(OUT)/xsr $(DESTDIR)$(PREFIX)/sbin/xsr
	install -D -m 0644 $(OUT)/libxsr.a $(DESTDIR)$(LIBDIR)/libxsr.a
	install -D -m 0755 $(OUT)/libxsr.so $(DESTDIR)$(LIBDIR)/libxsr.so.1
	ln -sf libxsr.so.1 $(DESTDIR)$(LIBDIR)/libxsr.so
	install -D -m 0644 user/worker/xsr.h $(DESTDIR)$(PREFIX)/include/xsr.h
	install -D -m 0644 $(OUT)/xsr.pc $(DESTDIR)$(LIBDIR)/pkgconfig/xsr.pc
	install -D -m 0644 $(OUT)/bpf/steer.bpf.o $(DESTDIR)$(LIBDIR)/xsr/steer.bpf.o
	install -D -m 0644 docs/xsr.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/xsr
	for page in $(MAN); do install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done

.PHONY: clean
clean:
	rm -rf $(OUT)

-include $(shell find $(OUT) -path $(OUT)/vm -prune -o -type f -name '*.d' -print 2>/dev/null)
