#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# vm/fetch.sh KERNEL: puts what a guest needs under .out/vm/: the tools in root/ and bin/, the kernel in kernel/KERNEL/.
# What is there is not fetched again. The host stays as it is: apt works on lists, a cache and a copy of dpkg's
# status of our own, and packages are unpacked, not installed. Exit 77: the packages cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/.."

kernel=$1
vm=$PWD/.out/vm
apt=$vm/apt
archives=$apt/cache/archives
log=$apt/log
lib=$vm/root/usr/lib/x86_64-linux-gnu
tools="virtme-ng qemu-system-x86 busybox-static kmod file"
lists_are_fresh=

die()
{
	echo "vm: $1" >&2
	exit 1
}

skip()
{
	echo "vm: skipped: $1" >&2
	exit 77
}

# The site that the host's own apt uses for one of the suites, else Debian's.
mirror_of()
{
	local suites=$1 default=$2 site
	# shellcheck disable=SC2016 # apt's own variables
	site=$(apt-get indextargets --format '$(RELEASE) $(SITE)' 2>/dev/null |
		awk -v suites="^($suites)\$" '$1 ~ suites && !n++ { print $2 }' || true)
	echo "${site:-$default}"
}

# virtme-ng is in trixie only, and each kernel series in one suite only: all are listed, the host's own is preferred.
apt_configure()
{
	local release=$1 debian security suite
	local signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"

	debian=$(mirror_of 'bookworm|trixie' http://deb.debian.org/debian)
	security=$(mirror_of '(bookworm|trixie)-security' http://deb.debian.org/debian-security)
	mkdir -p "$apt/lists/partial" "$archives/partial" "$apt/dpkg" "$apt/empty"
	for suite in bookworm trixie trixie-backports; do
		echo "deb $signed $debian $suite main"
	done >"$apt/sources.list"
	for suite in bookworm-security trixie-security; do
		echo "deb $signed $security $suite main"
	done >>"$apt/sources.list"
	cp /var/lib/dpkg/status "$apt/dpkg/status"
	cat >"$apt/apt.conf" <<-EOT
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		Dir::State "$apt";
		Dir::State::lists "$apt/lists";
		Dir::State::status "$apt/dpkg/status";
		Dir::Cache "$apt/cache";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "$apt/empty";
		Dir::Etc::preferences "$apt/no-preferences";
		Dir::Etc::preferencesparts "$apt/empty";
		APT::Default-Release "/^$release(-security)?\$/";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::http::Timeout "20";
		Acquire::Retries "2";
	EOT
}

apt_update()
{
	[ -z "$lists_are_fresh" ] || return 1
	lists_are_fresh=1
	echo "vm: fetching package lists"
	apt-get -c "$apt/apt.conf" -q update --allow-releaseinfo-change >>"$log" 2>&1
}

# First with the lists at hand, then with new ones: a mirror drops old versions.
with_lists()
{
	if compgen -G "$apt/lists/*_Packages*" >/dev/null && "$@"; then
		return 0
	fi
	apt_update && "$@"
}

# Moves the packages of apt's cache into a new directory. Debian 12's have some files in /bin and /lib,
# 13's all of them in /usr: in the directory they are in usr/ either way.
unpack_into()
{
	local dir=$1 deb top
	rm -rf "$dir"
	mkdir -p "$dir"
	for deb in "$archives"/*.deb; do
		dpkg-deb -x "$deb" "$dir"
	done
	for top in bin sbin lib; do
		mkdir -p "$dir/usr/$top" "$dir/$top"
		cp -al "$dir/$top/." "$dir/usr/$top/"
		rm -r "${dir:?}/$top"
		ln -s "usr/$top" "$dir/$top"
	done
	rm -f "$archives"/*.deb
}

# The tools and those of their dependencies that the host has not installed.
tools_download()
{
	rm -f "$archives"/*.deb
	echo "vm: fetching $tools"
	# shellcheck disable=SC2086 # a list of names
	apt-get -c "$apt/apt.conf" -q -y install --download-only --no-install-recommends $tools >>"$log" 2>&1
}

tools_fetch()
{
	with_lists tools_download || skip "cannot fetch $tools (see $log)"
	rm -rf "$vm/bin"
	unpack_into "$vm/root.new"
	# What a guest reads of the host's disk does not change meanwhile: cached, its programs start twice as fast.
	sed -i 's/trans=virtio,access=any/&,cache=loose,msize=262144/' \
		"$vm/root.new/usr/lib/python3/dist-packages/virtme/mkinitramfs.py"
	mv "$vm/root.new" "$vm/root"
}

# tool_wrap NAME TARGET [BEFORE [AFTER]]: bin/NAME runs root/TARGET with root's libraries, with words put before and
# after it. A tool that the host has is not in root and needs no wrapper.
tool_wrap()
{
	local name=$1 target=$vm/root/$2 before=${3:-} after=${4:-}
	[ -x "$target" ] || return 0
	cat >"$vm/bin.new/$name" <<-EOT
		#!/bin/bash
		export LD_LIBRARY_PATH=$lib
		export PYTHONPATH=$python_path
		exec -a $name $before $target $after "\$@"
	EOT
	chmod +x "$vm/bin.new/$name"
}

tools_wrap()
{
	local python=/usr/bin/python3 python_path=$vm/root/usr/lib/python3/dist-packages dir
	# The host may have only a part of Python (python3-minimal).
	for dir in "$vm"/root/usr/lib/python3.*/ "$vm"/root/usr/lib/python3.*/lib-dynload; do
		python_path=$python_path:$dir
	done
	[ -x "$python" ] || python=$vm/root/usr/bin/python3
	rm -rf "$vm/bin.new"
	mkdir "$vm/bin.new"
	tool_wrap virtme-run usr/bin/virtme-run "$python"
	tool_wrap file usr/bin/file "env MAGIC=$vm/root/usr/lib/file/magic.mgc"
	tool_wrap qemu-system-x86_64 usr/bin/qemu-system-x86_64 "env QEMU_MODULE_DIR=$lib/qemu" \
		"-L $vm/root/usr/share/qemu -L $vm/root/usr/share/seabios"
	tool_wrap modprobe usr/bin/kmod
	tool_wrap depmod usr/bin/kmod
	# virtme-run copies this one into its initramfs, so it must be the program itself.
	[ ! -x "$vm/root/usr/bin/busybox" ] || cp "$vm/root/usr/bin/busybox" "$vm/bin.new/busybox"
	mv "$vm/bin.new" "$vm/bin"
}

# A line for each image that can be had, newest first: its name and those of the packages that it is made of (none up
# to 6.18, several in newer ones). The -cloud and -rt images are left out, and those of whose parts the mirror no
# longer has one (a name in <>).
kernel_list()
{
	local images
	images=$(apt-cache -c "$apt/apt.conf" pkgnames linux-image- |
		grep -E '^linux-image-[0-9.]+[-+](deb)?[0-9][0-9a-z.]*-amd64$' | sort -rV)
	# shellcheck disable=SC2086 # a list of names
	apt-cache -c "$apt/apt.conf" depends $images | awk '
		function image_end() { if (image && whole) print image parts }
		/^[^ ]/ { image_end(); image = $1; parts = ""; whole = 1 }
		$2 ~ /^linux-(base|binary|modules)-[0-9]/ { parts = parts " " $2 }
		$2 ~ /^<linux-(binary|modules)-[0-9]/ { whole = 0 }
		END { image_end() }'
}

kernel_packages()
{
	kernel_list | grep -m 1 -E "^linux-image-${kernel//./\\.}[-+.]"
}

kernel_download()
{
	local packages
	packages=$(kernel_packages) || return 1
	rm -f "$archives"/*.deb
	echo "vm: fetching $packages"
	# shellcheck disable=SC2086 # a list of names
	(cd "$archives" && apt-get -c "$apt/apt.conf" -q download $packages >>"$log" 2>&1)
}

# There are lists, but not this kernel: a wrong word on the command line. No lists: no network.
kernel_give_up()
{
	local series
	series=$(kernel_list | sed -E 's/^linux-image-([0-9]+\.[0-9]+).*/\1/' | sort -uV | paste -sd ' ')
	if [ -n "$series" ] && ! kernel_packages >/dev/null; then
		die "there is no kernel of the series $kernel, there is one of each of $series"
	fi
	skip "cannot fetch a kernel of the series $kernel (see $log)"
}

kernel_fetch()
{
	local new=$vm/kernel/$kernel.new
	with_lists kernel_download || kernel_give_up
	unpack_into "$new"
	ln "$new"/boot/vmlinuz-* "$new/vmlinuz" 2>/dev/null || ln "$new"/lib/modules/*/vmlinuz "$new/vmlinuz"
	PATH=$vm/bin:$PATH:/usr/sbin:/sbin depmod -b "$new" "$(basename "$new"/lib/modules/*)"
	mv "$new" "$vm/kernel/$kernel"
}

[ -d "$vm/bin" ] && [ -d "$vm/kernel/$kernel" ] && exit 0

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || skip "the guests' kernels are Debian's for amd64, not this machine's"
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
case $release in
bookworm | trixie) ;;
*) skip "the packages of the guests are those of Debian 12 and 13 (bookworm, trixie), this is $release" ;;
esac

apt_configure "$release"
: >"$log"
[ -d "$vm/root" ] || tools_fetch
[ -d "$vm/bin" ] || tools_wrap
[ -d "$vm/kernel/$kernel" ] || kernel_fetch
