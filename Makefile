# The whole build in one file; configure writes $(B)/config.mk and $(B)/config.h.
#
#   make                  build into build/        make run     a server in the foreground
#   make check            everything a change must pass
#   make B=build/asan CONFIGURE_FLAGS=--with-sanitizer=address,undefined CC=clang
#                         a second build beside the first
#
# New files in the folders below are picked up without an edit here.

B ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CONFIGURE_FLAGS ?=
SEEDS ?= 50
FUZZ_SECONDS ?= 60
RUN_ARGS ?=
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

PACKAGE := lwm2m-serverd
FOLDERS := base model codec sec coap net lwm2m store shard campaign api
TOP := $(CURDIR)
BABS := $(abspath $(B))

# Goals that drive other makes, or that need no configured build directory.
DRIVERS := run check stages ci fuzz fuzz-merge deps clean distclean dist distcheck
CONFIGURED := $(filter-out $(DRIVERS),$(or $(MAKECMDGOALS),all))
# One sub-make with all processors, unless the caller has chosen.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

# ---- configure ----------------------------------------------------------------------------

VERSION_NOW := $(shell sed -n 's/^\#\# *\([0-9][0-9.]*\).*/\1/p' CHANGES.md | sed 1q)
# configure carries the version of CHANGES.md: made again only when the version has changed.
STALE_VERSION := $(shell grep -qsF "PACKAGE_VERSION='$(VERSION_NOW)'" configure || echo FORCE)
# A build directory configured with other flags than asked for now is configured again.
FLAGS_FILE := $(B)/configure.flags
FLAGS_NOW = $(CONFIGURE_FLAGS)$(if $(filter command% environment%,$(origin CC)), CC=$(CC))
ifneq ($(strip $(FLAGS_NOW)),)
STALE_FLAGS := $(shell echo '$(FLAGS_NOW)' | cmp -s - $(FLAGS_FILE) || echo FORCE)
endif

.PHONY: FORCE
FORCE:

# Locked, because two makes in one checkout may both find it missing.
configure: configure.ac config.mk.in $(STALE_VERSION)
	@flock configure.ac sh -ec ' \
	    if [ ! -e configure ] || [ configure -ot configure.ac ] || \
	       ! grep -qF "PACKAGE_VERSION='\''$(VERSION_NOW)'\''" configure; then \
	        command -v autoconf >/dev/null || { \
	            echo "autoconf is missing: run contrib/deps.sh" >&2; exit 1; }; \
	        echo "autoconf"; autoheader -f; autoconf -f; \
	    fi'

$(B)/config.mk: configure config.mk.in $(STALE_FLAGS)
	@mkdir -p $(B)
	@if [ -x $(B)/config.status ] && [ -z '$(strip $(FLAGS_NOW))' ]; then \
	    cd $(B) && ./config.status -q --recheck >config.out && ./config.status -q; \
	else \
	    echo "configure $(FLAGS_NOW)" && cd $(B) && \
	    $(TOP)/configure -q $(FLAGS_NOW) && echo '$(FLAGS_NOW)' >configure.flags; \
	fi
	@touch $@

ifneq ($(CONFIGURED),)
include $(B)/config.mk
endif

# ---- flags --------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wcast-qual -Wpointer-arith -Wundef -Wformat=2 \
	-Wimplicit-fallthrough -Wswitch-enum
ALL_CPPFLAGS = -D_GNU_SOURCE $(FORTIFY) -Isrc -I$(B) $(LIB_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(WERROR) -fstack-protector-strong -fPIE $(SAN_FLAGS) \
	$(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN_FLAGS) $(CFLAGS) $(LDFLAGS)
COMPILE = $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)

# Objects are made again when the command that compiles them has changed.
$(B)/compile.flags: $(B)/config.mk FORCE
	@echo '$(COMPILE)' | cmp -s - $@ || echo '$(COMPILE)' >$@

# ---- archive and programs -----------------------------------------------------------------

OBJ := $(B)/obj
LIB := $(B)/liblwm2m-server.a
objects = $(patsubst %.c,$(OBJ)/%.o,$(wildcard $(addsuffix /*.c,$(1))))

LIB_SRC := $(wildcard $(FOLDERS:%=src/%/*.c))
# Data files become part of the archive as soon as their header declares them.
SQL := $(sort $(wildcard sql/[0-9]*.sql))
GEN := $(if $(and $(SQL),$(wildcard src/store/schema.h)),schema) \
	$(if $(and $(wildcard etc/objects.tsv),$(wildcard src/model/objects_data.h)),objects_data) \
	$(if $(and $(wildcard src/api/openapi.json),$(wildcard src/api/openapi_data.h)),openapi_data)
LIB_OBJ := $(call objects,$(FOLDERS:%=src/%)) $(patsubst %,$(B)/gen/%.o,$(strip $(GEN)))
# A program without its main.c is left out.
program = $(if $(wildcard $(1)/main.c),$(call objects,$(1)))
DAEMON_OBJ := $(call program,src/daemon)
CTL_OBJ := $(call program,src/ctl)
FLEET_OBJ := $(call program,contrib/fleet)

DAEMON := $(B)/lwm2m-serverd
CTL := $(B)/lwm2m-serverctl
FLEET := $(B)/fleet
PROGRAMS := $(if $(DAEMON_OBJ),$(DAEMON)) $(if $(CTL_OBJ),$(CTL)) $(if $(FLEET_OBJ),$(FLEET))

.PHONY: all
all: $(B)/compile.flags $(LIB) $(PROGRAMS)
	@:

$(LIB): $(LIB_OBJ)
	@echo "AR $@"
	@rm -f $@
	@$(AR) rcsD $@ $(LIB_OBJ)

# --as-needed keeps of LIB_LIBS what a program uses.
LINK = @echo "LINK $@"; $(CC) $(ALL_LDFLAGS)
$(DAEMON): $(DAEMON_OBJ) $(LIB)
	$(LINK) -o $@ $(DAEMON_OBJ) $(LIB) $(LIB_LIBS) -lpthread -lm
$(CTL): $(CTL_OBJ) $(LIB)
	$(LINK) -o $@ $(CTL_OBJ) $(LIB) $(LIB_LIBS) -lpthread -lm
$(FLEET): $(FLEET_OBJ) $(LIB)
	$(LINK) -o $@ $(FLEET_OBJ) $(LIB) $(LIB_LIBS) -lpthread -lm

$(OBJ)/%.o: %.c $(B)/compile.flags
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(COMPILE) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c $(B)/compile.flags
	@echo "CC $<"
	@$(COMPILE) -MMD -MP -c -o $@ $<

EMBED = @mkdir -p $(@D); echo "GEN $@"; contrib/embed.sh
$(B)/gen/schema.c: $(SQL) contrib/embed.sh
	$(EMBED) sql store/schema.h schema_steps $(SQL) >$@
$(B)/gen/objects_data.c: etc/objects.tsv contrib/embed.sh
	$(EMBED) text model/objects_data.h objects_data $< >$@
$(B)/gen/openapi_data.c: src/api/openapi.json contrib/embed.sh
	$(EMBED) text api/openapi_data.h openapi_data $< >$@

# ---- test programs ------------------------------------------------------------------------

T := $(B)/tests
UNIT := $(patsubst tests/unit/%.c,$(T)/unit/%,$(wildcard tests/unit/test_*.c))
SIM := $(patsubst tests/sim/%.c,$(T)/sim/%,$(wildcard tests/sim/sim_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(T)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
# What the tests of tests/vectors talk to.
VECTORS := $(patsubst tests/vectors/%.c,$(T)/vectors/%,$(wildcard tests/vectors/*.c))
BENCH := $(patsubst tests/bench/%.c,$(T)/bench/%,$(wildcard tests/bench/bench_*.c))
# What the simulations share: every other .c of the folder.
SIM_COMMON := $(patsubst %.c,$(OBJ)/%.o,$(filter-out tests/sim/sim_%,$(wildcard tests/sim/*.c)))
UNIT_COMMON := $(patsubst %.c,$(OBJ)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
# With libFuzzer the library brings main(); otherwise ours replays the corpus.
FUZZ_MAIN = $(if $(FUZZ_LDFLAGS),,$(OBJ)/tests/fuzz/replay_main.o)

.PHONY: tests
tests: all $(UNIT) $(SIM) $(FUZZ) $(BENCH) $(VECTORS)

$(UNIT): $(T)/unit/%: $(OBJ)/tests/unit/%.o $(UNIT_COMMON) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(UNIT_COMMON) $(LIB) $(CMOCKA_LIBS) $(LIB_LIBS) -lpthread -lm
$(SIM): $(T)/sim/%: $(OBJ)/tests/sim/%.o $(SIM_COMMON) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(SIM_COMMON) $(LIB) $(LIB_LIBS) -lpthread -lm
$(VECTORS): $(T)/vectors/%: $(OBJ)/tests/vectors/%.o $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(LIB) $(LIB_LIBS) -lpthread -lm
$(BENCH): $(T)/bench/%: $(OBJ)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $< $(LIB) $(LIB_LIBS) -lpthread -lm
.SECONDEXPANSION:
$(FUZZ): $(T)/fuzz/%: $(OBJ)/tests/fuzz/%.o $$(FUZZ_MAIN) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $(FUZZ_LDFLAGS) -o $@ $< $(FUZZ_MAIN) $(LIB) $(LIB_LIBS) -lpthread -lm
$(OBJ)/tests/unit/%.o: ALL_CPPFLAGS += $(CMOCKA_CFLAGS)

.SECONDARY:
-include $(shell [ ! -d $(OBJ) ] || find $(OBJ) $(B)/gen -name '*.d' 2>/dev/null)

# ---- running the tests ---------------------------------------------------------------------

VENV ?= $(B)/venv
STAGES ?= build unit
RUN_ALL = +@B='$(B)' VENV='$(VENV)' MAKE='$(MAKE)' JOBS='$(JOBS)' SEEDS='$(SEEDS)' \
	FUZZ_SECONDS='$(FUZZ_SECONDS)' tests/run-all

.PHONY: deps run check stages unit sim replay vectors e2e storm interop lint selftest tidy bench
deps:
	@contrib/deps.sh build test

run:
	@contrib/deps.sh build
	+@$(SUBMAKE) all
	@exec $(DAEMON) --run-dir run $(RUN_ARGS)

CHECK_STAGES := build lint selftest unit replay vectors sim e2e interop requirements
check: deps
	$(RUN_ALL) $(CHECK_STAGES)

# The stages named in STAGES, in this build directory.
stages:
	$(RUN_ALL) $(STAGES)

unit: $(UNIT)
sim: $(SIM)
replay: $(FUZZ)
vectors: $(VECTORS)
unit sim replay vectors:
	$(RUN_ALL) $@
e2e storm interop lint selftest tidy: all
	$(RUN_ALL) $@

bench: all $(BENCH)
	@LWM2M_SERVERD='$(abspath $(DAEMON))' LWM2M_SERVERCTL='$(abspath $(CTL))' \
	    LWM2M_FLEET='$(abspath $(FLEET))' LWM2M_BUILD='$(BABS)' tests/bench/run

# Fuzzing has a build of its own: clang, libFuzzer, address and undefined sanitizers.
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang \
	CONFIGURE_FLAGS='--with-sanitizer=address,undefined --enable-fuzz'
.PHONY: fuzz fuzz-merge
fuzz: deps
	+@$(FUZZ_MAKE) B=$(B)/fuzz STAGES='build fuzz' stages

# What fuzzing has found, condensed into the committed corpora: per target a fresh set of
# inputs that reaches all that the old and the new ones reached.
fuzz-merge:
	@set -e; for source in tests/fuzz/fuzz_*.c; do \
	    name=$$(basename $$source .c); in=tests/fuzz/$$name.in; \
	    new=$(B)/fuzz/merged/$$name; found=$(B)/fuzz/fuzz-corpus/$$name; \
	    rm -rf $$new; mkdir -p $$new $$in $$found; \
	    $(B)/fuzz/tests/fuzz/$$name -merge=1 $$new $$in $$found 2>&1 | tail -n 1; \
	    rm -rf $$in; cp -r $$new $$in; \
	done

# ---- CI -----------------------------------------------------------------------------------

# Each line is a build of its own; one that fails does not stop the others. Simulations have one
# thread: under ThreadSanitizer a few seeds will do.
CI_RESULTS := $(BABS)/ci-results
CI_MAKE = RESULTS=$(CI_RESULTS) $(MAKE) --no-print-directory VENV=$(BABS)/venv
ASAN_FLAGS := --enable-werror --with-sanitizer=address,undefined --enable-fuzz
TSAN_FLAGS := --enable-werror --with-sanitizer=thread
.PHONY: ci
ci: deps
	@mkdir -p $(B); : >$(CI_RESULTS)
	+@LABEL=gcc $(CI_MAKE) B=$(B)/gcc CONFIGURE_FLAGS=--enable-werror \
	    STAGES='$(CHECK_STAGES) tidy distcheck' stages || :
	+@LABEL=asan TIMEOUT_SCALE=3 SIM_DATAGRAMS=500000 $(CI_MAKE) B=$(B)/asan CC=clang \
	    CONFIGURE_FLAGS='$(ASAN_FLAGS)' FUZZ_SECONDS=60 FUZZ_RUNS=30000 \
	    STAGES='build unit replay vectors sim e2e fuzz' stages || :
	+@LABEL=tsan TIMEOUT_SCALE=5 $(CI_MAKE) B=$(B)/tsan CC=clang \
	    CONFIGURE_FLAGS='$(TSAN_FLAGS)' SEEDS=10 \
	    STAGES='build unit sim storm' stages || :
	@tests/run-all --sum $(CI_RESULTS)

# ---- install ------------------------------------------------------------------------------

# INSTALL_LIST: source, destination, mode. Everything put there is taken away by uninstall.
UNITS := $(wildcard etc/systemd/*.service etc/systemd/*.socket)
confdir = $(sysconfdir)/$(PACKAGE)
CONF = $(or $(wildcard etc/$(PACKAGE).conf),$(B)/$(PACKAGE).conf)
entry = $(foreach f,$(1),'$(f)|$(2)/$(notdir $(f))|$(3)')
INSTALL_LIST = $(call entry,$(if $(DAEMON_OBJ),$(DAEMON)),$(sbindir),755) \
	$(call entry,$(if $(CTL_OBJ),$(CTL)),$(bindir),755) \
	$(call entry,$(UNITS:etc/systemd/%=$(B)/systemd/%),$(unitdir),644) \
	$(call entry,$(wildcard etc/sysusers.d/*.conf),$(sysusersdir),644) \
	$(call entry,$(wildcard etc/tmpfiles.d/*.conf),$(tmpfilesdir),644) \
	$(call entry,$(wildcard man/*.1),$(mandir)/man1,644) \
	$(call entry,$(wildcard man/*.5),$(mandir)/man5,644) \
	$(call entry,$(wildcard man/*.7),$(mandir)/man7,644) \
	$(call entry,$(wildcard man/*.8),$(mandir)/man8,644) \
	$(call entry,$(wildcard etc/objects.tsv),$(datadir)/$(PACKAGE),644) \
	$(call entry,$(wildcard contrib/bash-completion/*),$(datadir)/bash-completion/completions,644)

# Units name the programs by the directories they are installed in.
$(B)/systemd/%: etc/systemd/% $(B)/config.mk
	@mkdir -p $(@D)
	@sed -e 's|@sbindir@|$(sbindir)|g' -e 's|@bindir@|$(bindir)|g' \
	    -e 's|@sysconfdir@|$(sysconfdir)|g' $< >$@
$(B)/$(PACKAGE).conf: $(DAEMON)
	@$(DAEMON) --print-sample-config >$@.tmp && mv $@.tmp $@

# An existing configuration stays; the sample is then put beside it.
.PHONY: install uninstall
install: all $(UNITS:etc/systemd/%=$(B)/systemd/%) $(if $(DAEMON_OBJ),$(CONF))
	@set -e; for entry in $(INSTALL_LIST); do \
	    IFS='|'; set -- $$entry; unset IFS; \
	    echo "INSTALL $(DESTDIR)$$2"; install -D -m $$3 "$$1" "$(DESTDIR)$$2"; \
	done
	@set -e; conf=$(DESTDIR)$(confdir)/$(PACKAGE).conf; \
	if [ -n '$(DAEMON_OBJ)' ]; then \
	    [ ! -e $$conf ] || cmp -s $(CONF) $$conf || conf=$$conf.sample; \
	    echo "INSTALL $$conf"; install -D -m 644 $(CONF) $$conf; \
	fi

# A configuration that was edited stays, and so does all state.
uninstall:
	@set -e; for entry in $(INSTALL_LIST); do \
	    IFS='|'; set -- $$entry; unset IFS; rm -f "$(DESTDIR)$$2"; \
	done
	@conf=$(DESTDIR)$(confdir)/$(PACKAGE).conf; rm -f $$conf.sample; \
	! cmp -s $(CONF) $$conf || rm -f $$conf
	@rmdir $(DESTDIR)$(datadir)/$(PACKAGE) $(DESTDIR)$(confdir) 2>/dev/null || :

# ---- release ------------------------------------------------------------------------------

# The same tree gives the same tarball: names sorted, one time, one owner. The time is that of
# the last commit, or of the files when this is an unpacked tarball.
DISTNAME := $(PACKAGE)-$(VERSION_NOW)
DISTFILE ?= $(DISTNAME).tar.gz
.PHONY: dist distcheck
dist: configure
	@set -e; mkdir -p $(B); list=$(B)/dist.list; \
	if [ -e .git ]; then git ls-files >$$list.all; else find . \( -path ./$(B) -o -path './build*' \
	    -o -path ./run -o -path ./autom4te.cache -o -name __pycache__ \) -prune \
	    -o -type f ! -name '$(PACKAGE)-*.tar.gz' ! -name '*~' -print | \
	    sed 's,^\./,,' >$$list.all; fi; \
	while read -r f; do [ ! -e "$$f" ] || echo "$$f"; done <$$list.all >$$list; \
	printf 'configure\nconfig.h.in\n' >>$$list; \
	LC_ALL=C sort -u -o $$list $$list; \
	epoch=$${SOURCE_DATE_EPOCH:-$$( \
	    if [ -e .git ]; then git log -1 --format=%ct; else stat -c %Y Makefile; fi)}; \
	tar -c --format=gnu --no-recursion -T $$list --mtime=@$$epoch --owner=0 --group=0 \
	    --numeric-owner --mode=u=rwX,go=rX --transform 's,^,$(DISTNAME)/,' | \
	    gzip -9n >$(DISTFILE); \
	echo "$(DISTFILE)"

# Twice the same; builds, passes and installs from the tarball without autoconf; uninstall
# leaves nothing; and the unpacked tree makes the same tarball again.
distcheck:
	+@set -e; d=$(BABS)/distcheck; rm -rf $$d; mkdir -p $$d; \
	$(MAKE) --no-print-directory dist DISTFILE=$$d/1.tar.gz; \
	$(MAKE) --no-print-directory dist DISTFILE=$$d/2.tar.gz; \
	cmp $$d/1.tar.gz $$d/2.tar.gz; \
	tar -C $$d -xzf $$d/1.tar.gz; \
	sub="$(MAKE) --no-print-directory -C $$d/$(DISTNAME) CONFIGURE_FLAGS=--prefix=/usr B=$$d/b"; \
	unset RESULTS LABEL; \
	$$sub JOBS=$(JOBS) STAGES='build unit replay' stages; \
	$$sub install DESTDIR=$$d/root; \
	for f in $(if $(DAEMON_OBJ),usr/sbin/$(PACKAGE)) $(if $(CTL_OBJ),usr/bin/lwm2m-serverctl); do \
	    test -x $$d/root/$$f; done; \
	$$sub uninstall DESTDIR=$$d/root; \
	left=$$(find $$d/root ! -type d); \
	[ -z "$$left" ] || { echo "left by uninstall: $$left"; exit 1; }; \
	$$sub dist DISTFILE=$$d/3.tar.gz; \
	cmp $$d/1.tar.gz $$d/3.tar.gz; \
	[ ! -e $$d/$(DISTNAME)/autom4te.cache ] || { echo "the tarball needs autoconf"; exit 1; }; \
	rm -rf $$d; echo "distcheck passed"

# ---- housekeeping -------------------------------------------------------------------------

.PHONY: clean distclean
clean:
	rm -rf $(B)
distclean: clean
	rm -rf configure configure~ config.h.in config.h.in~ autom4te.cache
