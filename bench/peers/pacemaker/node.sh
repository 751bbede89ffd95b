#!/bin/sh
# node.sh NAME LAB: one node of a Pacemaker cluster, as the first process of namespaces of its own
# (network, mounts, processes, host name, System V): whoever kills it cuts the node's power. LAB
# becomes /mnt in there. bench/peers/pacemaker.py starts it, and gives it its network.
set -eu
name=$1
lab=$2

hostname "$name"
mount --make-rprivate /
mount --bind "$lab" /mnt
# Ours among the programs and agents of the system, for this node alone.
mount -t overlay -o lowerdir=/mnt/sbin:/usr/sbin overlay /usr/sbin
mount -t overlay -o lowerdir=/mnt/ocf:/usr/lib/ocf/resource.d overlay /usr/lib/ocf/resource.d
for own in /run /dev/shm /var/lib/corosync /var/lib/pacemaker /var/log/corosync /var/log/pacemaker; do
    mount -t tmpfs tmpfs "$own"
done
mount --bind /mnt/corosync /etc/corosync
mkdir -p /run/corosync /run/lock
for own in blackbox cib cores pengine; do
    mkdir /var/lib/pacemaker/$own
done
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
chmod -R 750 /var/lib/pacemaker

until ip -o addr show dev eth0 2> /dev/null | grep -q 'inet '; do
    sleep 0.02
done
corosync -f &
until corosync-cfgtool -s > /dev/null 2>&1; do
    sleep 0.1
done
pacemakerd -f &
wait
