#!/bin/sh
# Builds a Debian 12 guest with a real ZFS module, for the scenarios of tests/vm.
#   build-image.sh 2.1     zfs 2.1.11 from bookworm/contrib: text output only
#   build-image.sh 2.3     zfs 2.3.2 from bookworm-backports/contrib: JSON output as well
# The result is $OPSKIT_VM_CACHE/zfs-VERSION/{disk.img,vmlinuz,initrd}, built once per text of this script.
# Needs root, debootstrap and e2fsprogs, and some ten minutes: the module is compiled by dkms.
set -eu

version=$1
cache=${OPSKIT_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/opskit}
# The mirror that this machine itself installs from, unless another is named.
mirror=${OPSKIT_VM_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)}
case $version in
  2.1) release=bookworm ;;
  2.3) release=bookworm-backports ;;
  *) echo "$0: '$version' is no version: 2.1 or 2.3" >&2; exit 2 ;;
esac
image=$cache/zfs-$version
recipe=$(sha256sum "$0" | cut -d' ' -f1)
[ "$(cat "$image/recipe" 2>/dev/null)" != "$recipe" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "$0: building the guest needs root (chroot and mknod)" >&2; exit 3; }

mkdir -p "$cache"
say() { echo "$(date +%H:%M:%S) $*" >&2; }
in_root() { chroot "$root" env LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }

# The base is the same for both versions, so it is made once and copied.
base=$cache/base-$(echo "$recipe" | cut -c1-12)
if [ ! -e "$base/.whole" ]; then
  say "debootstrap (about two minutes)"
  rm -rf "$cache"/base-*
  debootstrap --variant=minbase --components=main,contrib --include=\
linux-image-amd64,linux-headers-amd64,systemd-sysv,udev,kmod,iproute2,python3,util-linux,fdisk,gdisk,mdadm,\
build-essential,dkms bookworm "$base" "$mirror" >"$cache/base.log" 2>&1
  touch "$base/.whole"
fi

root=$(mktemp -d "$cache/root-$version.XXXXXX")
unmount() { for place in dev sys proc; do umount "$root/$place" 2>/dev/null || :; done; }
trap 'unmount; rm -rf --one-file-system "$root"' EXIT
say "copying the base"
cp -a "$base/." "$root"
echo "deb $mirror bookworm-backports main contrib" >"$root/etc/apt/sources.list.d/backports.list"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"   # no service may start on the building machine
chmod +x "$root/usr/sbin/policy-rc.d"
for place in proc sys dev; do mount --bind "/$place" "$root/$place"; done

say "zfs $version from $release (about seven minutes: dkms compiles the module)"
{
  in_root apt-get update -q
  in_root apt-get install -qy --no-install-recommends -t "$release" zfs-dkms zfsutils-linux
} >"$cache/zfs-$version.log" 2>&1
kernel=$(basename "$(ls -d "$root"/lib/modules/*)")
find "$root/lib/modules/$kernel" -name 'zfs.ko*' | grep -q . || {
  echo "$0: dkms built no module; see $cache/zfs-$version.log" >&2; exit 4; }

# A small initrd: only what it takes to reach the root disk, because emulation decompresses slowly.
echo 'MODULES=list' >"$root/etc/initramfs-tools/conf.d/small"
printf 'virtio_pci\nvirtio_blk\next4\n' >"$root/etc/initramfs-tools/modules"
in_root update-initramfs -u -k "$kernel" >>"$cache/zfs-$version.log" 2>&1
unmount

cat >"$root/etc/systemd/system/opskit-vm.service" <<'UNIT'
[Unit]
Description=The scenarios that the host handed in
After=multi-user.target zfs-volumes.target zfs.target swap.target
[Service]
Type=oneshot
StandardOutput=journal+console
StandardError=journal+console
ExecStart=/bin/sh -c 'mkdir -p /run/payload && tar -xf /dev/vdb -C /run/payload && exec sh /run/payload/start.sh'
[Install]
WantedBy=multi-user.target
UNIT
in_root systemctl -q enable opskit-vm.service
in_root systemctl -q mask serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer dpkg-db-backup.timer fstrim.timer
printf '/dev/vda / ext4 rw,noatime 0 1\n' >"$root/etc/fstab"
echo opskit-vm >"$root/etc/hostname"
rm -f "$root/usr/sbin/policy-rc.d"

say "writing the disk"
work=$(mktemp -d "$cache/new-$version.XXXXXX")
cp "$root/boot/vmlinuz-$kernel" "$work/vmlinuz"
cp "$root/boot/initrd.img-$kernel" "$work/initrd"
# The guest needs no compiler once the module is there.
rm -rf "$root"/usr/src/* "$root"/usr/lib/gcc "$root"/usr/share/doc "$root"/var/cache/apt "$root"/var/lib/apt/lists \
  "$root"/var/lib/dkms "$root"/boot/*
mke2fs -q -t ext4 -d "$root" "$work/disk.img" 3G
echo "$recipe" >"$work/recipe"
rm -rf "$image"
mv "$work" "$image"
say "done: $image"
