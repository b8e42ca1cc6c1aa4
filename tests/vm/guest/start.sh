# Run by the guest's own service at every boot: one file of scenarios per boot, then power off.
cd /run/payload
export PYTHONPATH=/run/payload:/run/payload/site PYTHONUNBUFFERED=1 HOME=/root LC_ALL=C.UTF-8
state=/var/lib/opskit-vm
mkdir -p $state/results
# Each daemon-reload runs them all, and emulation starts programs slowly; those that read what this guest has
# (fstab, partition tables, pools) stay.
mkdir -p /etc/systemd/system-generators
for generator in cryptsetup debug getty hibernate-resume integritysetup rc-local run system-update sysv veritysetup; do
  ln -sf /dev/null /etc/systemd/system-generators/systemd-$generator-generator
done
boot=$(($(cat $state/boot 2>/dev/null || echo 0) + 1))
echo $boot >$state/boot
. ./settings.sh
eval "set -- $SELECTION"
python3 -m pytest -c tests/vm/guest/pytest.ini --rootdir . -p no:cacheprovider "$@" \
  --junitxml $state/results/boot$boot.xml tests/vm/guest/boot${boot}_*.py 2>&1 | tee $state/results/boot$boot.log
cp /etc/fstab $state/results/fstab$boot 2>/dev/null
sync
if ls tests/vm/guest/boot$((boot + 1))_*.py >/dev/null 2>&1 && [ -e $state/go-on ]; then
  systemctl reboot
else
  journalctl -b --no-pager -o short-monotonic >$state/results/journal 2>&1
  tar -cf /dev/vdc -C $state/results .
  systemctl poweroff
fi
