# Each target is a few commands that can be typed as well. Only what needs root is run as root (labs/as-root.sh).
.PHONY: build image demo test test-oci test-vm test-classroom bench book classroom-kit clean
.DELETE_ON_ERROR:

export CGO_ENABLED = 0
TAGS      = -tags urfave_cli_no_docs
TESTFLAGS =
VMFLAGS   = --timeout 900 -v
KIT       = $(CURDIR)/bin/classroom-kit

root      = labs/as-root.sh
rootfs    = $(CURDIR)/bin/rootfs
suite_env = MYDOCKER_BIN="$(CURDIR)/bin/mydocker" MYDOCKER_DISPOSABLE=1 \
	MYDOCKER_ROOTFS_BUSYBOX="$(rootfs)/busybox.tar" MYDOCKER_ROOTFS_DEBIAN="$(rootfs)/debian.tar"
go_test   = $(suite_env) go test $(TAGS) -count=1 -exec "'$(CURDIR)/$(root)'" $(TESTFLAGS)

# Tests of what is the same in every user namespace and on every kernel: names, streams, archives, registries.
modeless = Commit|Completion|Config|Cp|Diff|Endurance|Events|Export|Flags|Format|Health|History|Hostile|Images|Import|Inspect|Kill|Layout|Load|Log|Many|Names|Network|Ps|Prune|Pull|Push|Registry|Rmi|RoundTrip|Save|Search|SecurityHostileImage|Streams|System|Tag|Terminal|Userns|VolumeCreationKilled|VolumeRemovalKilled

build:
	go build -trimpath -buildvcs=false -ldflags "-s -w" $(TAGS) -o bin/mydocker ./mydocker

# The image busybox, from the distribution's own static busybox.
image: build bin/rootfs/busybox.tar
	$(root) bin/mydocker import -c 'CMD ["sh"]' bin/rootfs/busybox.tar busybox

demo: image
	@$(root) labs/demo.sh

test: build bin/rootfs/busybox.tar bin/rootfs/debian.tar bin/validation
	labs/need.sh curl runc crun mount e2fsprogs iproute2 nftables iptables procps xz-utils zstd bzip2 zsh fish docker-registry skopeo umoci
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './bin/*')); \
		[ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	go vet $(TAGS) ./...
	@status=0; \
	$(go_test) -timeout 10m ./mydocker/... || status=1; \
	$(go_test) -timeout 15m ./chapters/... || status=1; \
	$(go_test) -timeout 15m ./labs/... ./vagrant || status=1; \
	$(go_test) -timeout 20m ./tests/e2e/... || status=1; \
	MYDOCKER_TEST_USERNS=host $(go_test) -timeout 20m -short -skip 'Test($(modeless))' ./tests/e2e/... || status=1; \
	$(go_test) -timeout 5m ./tests/escape || status=1; \
	$(oci_test) || status=1; \
	exit $$status

# As an OCI runtime: beside runc and crun, under runtime-tools' validation programs, below Docker, Podman and containerd.
# What of these is not installed `make test` leaves out.
test-oci: build bin/rootfs/busybox.tar bin/validation
	labs/need.sh procps runc crun containerd docker.io podman conmon
	$(oci_test)

oci_test = MYDOCKER_OCI_VALIDATION="$(CURDIR)/bin/validation" $(go_test) -timeout 20m ./tests/oci

bin/validation: tests/oci/validation/go.mod
	@rm -rf $@ $@.new && mkdir -p $@.new/bin
	cd tests/oci/validation && go build -o "$(CURDIR)/$@.new/runtimetest" github.com/opencontainers/runtime-tools/cmd/runtimetest && \
		go build -o "$(CURDIR)/$@.new/bin/" github.com/opencontainers/runtime-tools/validation/...
	@mv $@.new $@

# The labs: each on each stage that is to pass it, on the stage before, on mydocker, Docker and every mistake that it knows.
.PHONY: staircase
staircase: build
	MYDOCKER_STAIRCASE=full $(go_test) -timeout 15m -v -run 'Staircase|Mutants|Starters|Lazy|Docker' ./labs

# The same tests in a virtual machine: another kernel, systemd, pure cgroup v2. Then as a classroom machine: the book and the labs.
test-vm: build
	@status=0; \
	tests/vm/run.sh $(VMFLAGS) || status=1; \
	tests/vm/classroom.sh || status=1; \
	exit $$status

test-classroom:
	tests/vm/classroom.sh

# A directory from which machines are made ready without network (vagrant/README.md).
classroom-kit:
	vagrant/kit.sh "$(KIT)"

bench: build bin/rootfs/busybox.tar bin/rootfs/debian.tar
	labs/need.sh iperf3 docker-registry
	go build -trimpath $(TAGS) -o bin/bench ./tests/bench
	$(suite_env) $(root) bin/bench $(BENCHFLAGS)

# What is generated in chapters/: excerpts of the source, main.diff; as root with MYDOCKER_DISPOSABLE=1 transcripts that
# are shown, too. chapters/book/main.go says more.
book:
	go run $(TAGS) ./chapters/book

bin/rootfs/%.tar: labs/rootfs.sh labs/bootstrap.sh
	@mkdir -p bin/rootfs
	@rm -f $@
	$(root) labs/rootfs.sh $* $@

# What takes minutes to make (Debian, the test machine) stays in /var/cache/mydocker.
clean:
	rm -rf bin
