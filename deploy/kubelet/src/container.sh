# Makes the root of a container and becomes its process, under the id that this shell has.
# $1 work folder, $2 host name, $3 "ro" or "rw"; then source, target and mode of each mount; "--"; then the words of setpriv and the command.
set -eu
work=$1 host=$2 root_mode=$3 root=$1/root
shift 3
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mkdir -p "$root$2"
    else
        mkdir -p "$(dirname "$root$2")"
        touch "$root$2"
    fi
    mount --bind "$1" "$root$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
    shift 3
done
shift
[ "$root_mode" = rw ] || mount -o remount,ro "$root"
hostname "$host"
exec chroot "$root" setpriv "$@"
