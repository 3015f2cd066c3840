# Variables: DATA (a text file for the demo), PORT (of the server), VOCABULARIES (a folder for `peers`), DEVICE and LIBTORCH (see `scripts/setup.sh --help`).
.PHONY: help setup build server test demo serve docs peers benchmarks bench bench-check format lint clean

# Read when a recipe runs, that is after `setup` wrote it.
LIBTORCH_LIB = $(shell sed -n 's/^LIBTORCH_LIB := //p' $(CURDIR)/.libtorch/config.mk)

# The same settings for every Swift command, so that nothing is built twice. With debug information Swift takes an eighth
# longer to compile, and C++ a fifth; a plain `swift build` makes it.
FLAGS = -c release -Xswiftc -gnone -Xcxx -g0 -Xlinker -rpath -Xlinker $(LIBTORCH_LIB)
SWIFT = PKG_CONFIG_PATH=$(CURDIR)/.libtorch/pkgconfig$${PKG_CONFIG_PATH:+:$$PKG_CONFIG_PATH} swift

# Idle threads of libtorch should sleep, not spin: tests run beside each other, and on a machine that has other things
# to do as well, training of small networks is several times faster so.
PASSIVE = OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-passive}

# How many tests run beside each other. If all did, as Swift Testing would have it, those that compute would come first, and
# what others wait for, a training to be interrupted say, would go on meanwhile.
WIDTH = SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH
BESIDE = $(WIDTH)=$${$(WIDTH):-16}

FORMATTED = $(wildcard Sources Tests Plugins Package.swift Benchmarks/Sources Benchmarks/Package.swift scripts/undocumented.swift)

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile

setup: ## find or download libtorch (DEVICE=cuda, LIBTORCH=/path; see scripts/setup.sh --help)
	@scripts/setup.sh

build: setup ## build the library and the tool, without the server
	@$(SWIFT) build --product esolm $(FLAGS)
	@echo "Built .build/release/esolm"

server: build ## build the server, which esolm serve turns into, beside the tool
	@$(SWIFT) build --product esolm-serve $(FLAGS)

test: setup ## build everything and run the tests (FILTER: some of them)
	@scripts/clients.sh
	@$(SWIFT) build --build-tests $(FLAGS)
	@$(PASSIVE) $(BESIDE) $(SWIFT) test --skip-build $(FLAGS) $(if $(FILTER),--filter '$(FILTER)')
	@echo "All $(if $(FILTER),of these )tests passed."

demo: build ## train a small model and show what it can do (DATA=text.txt)
	@$(PASSIVE) .build/release/esolm demo $(if $(DATA),--data $(DATA))

serve: server ## serve the demo's model, trained first if there is none (PORT=8080)
	@[ -e runs/demo/config.json ] || $(PASSIVE) .build/release/esolm demo --out runs/demo --sudoku-steps 0
	@$(PASSIVE) .build/release/esolm serve runs/demo --port $(or $(PORT),8080)

docs: server ## build the documentation into .build/docs; warnings are errors
	@scripts/docs.sh

peers: build ## compare with Python's safetensors and tokenizers (VOCABULARIES=folder)
	@$(PASSIVE) scripts/peers.sh

benchmarks: setup ## build the benchmarks
	@# In the same folder, so that nothing is built twice. SwiftPM does not notice files that are new in a package that
	@# another one depends on by its path.
	@cd Benchmarks && $(SWIFT) build --scratch-path $(CURDIR)/.build --disable-build-manifest-caching $(FLAGS)

bench: benchmarks ## run the benchmarks
	@.build/release/benchmarks

bench-check: benchmarks ## run the benchmarks and fail where a share of the machine's best is too low
	@.build/release/benchmarks --check

format: ## format the Swift code in place
	@swift format --in-place --recursive $(FORMATTED)

lint: ## check the Swift code's format
	@swift format lint --strict --recursive $(FORMATTED)

clean: ## delete what was built here (not the download in the user's cache)
	rm -rf .build .libtorch Benchmarks/.build
