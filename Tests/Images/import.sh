#!/bin/bash
# import.sh   OVA and OVF packages as VMware, VirtualBox and others write them, with disks by qemu-img: apus img import makes the same
# disks of them and describes the machines; damaged and hostile packages are refused. Ends with 'N passed, N failed'.
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/../../Scripts/cache.sh"
executable=${APUS:-$REPO/.build/release/apus}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$*"; }
import() { "$executable" img import "$@" > out 2>&1; }
refuse() {  # refuse TEXT ARGUMENT…: one line that says TEXT, status 1, and nothing is left
    local text=$1 status; shift; rm -rf refused
    import -d refused "$@"; status=$?
    if [ $status = 1 ] && grep -q -- "$text" out && [ "$(grep -vc '^no manifest' out)" = 1 ] && [ -z "$(ls refused 2> /dev/null)" ]; then ok; else bad "$*: status $status: $(head -3 out)$(ls refused)"; fi
}
field() { python3 -c "import json, sys; v = json.load(open(sys.argv[1])); v = v[0] if isinstance(v, list) else v; print(eval('v' + sys.argv[2]))" "$1" "$2" 2>&1; }
says() { local got; got=$(field "$1" "$2"); [ "$got" = "$3" ] && ok || bad "$1 $2 is '$got', not '$3'"; }

seq 1 700000 | head -c 4000000 > one.raw; truncate -s 24M one.raw; dd if=/dev/urandom of=one.raw bs=1M seek=17 count=2 conv=notrunc 2> /dev/null
seq 5 400000 | head -c 2000000 > two.raw; truncate -s 8M two.raw; head -c 70000 /dev/urandom > cd.iso; truncate -s 71680 cd.iso
qemu-img convert -O vmdk -o subformat=streamOptimized one.raw box-disk001.vmdk
qemu-img convert -O vpc -o subformat=dynamic,force_size=on two.raw two.vhd
NS='xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf"'
item() {    # item TYPE INSTANCE NAME [ELEMENT TEXT…]
    printf '<Item><rasd:ElementName>%s</rasd:ElementName><rasd:InstanceID>%s</rasd:InstanceID><rasd:ResourceType>%s</rasd:ResourceType>' "$3" "$2" "$1"; shift 3
    while [ $# -gt 1 ]; do printf '<rasd:%s>%s</rasd:%s>' "$1" "$2" "$1"; shift 2; done
    printf '</Item>\n'
}
envelope() {    # envelope REFERENCES DISKS ITEMS [NAME]
    cat << END
<?xml version="1.0" encoding="UTF-8"?>
<Envelope $NS>
<References>$1</References>
<DiskSection><Info>disks</Info>$2</DiskSection>
<NetworkSection><Info>n</Info><Network ovf:name="VM Network"/></NetworkSection>
<VirtualSystem ovf:id="box"><Info>a machine</Info><Name>${4:-My &amp; box}</Name>
<OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest"><Info>os</Info><Description>Debian GNU/Linux 12</Description></OperatingSystemSection>
<VirtualHardwareSection><Info>hw</Info>
$3
<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
</VirtualHardwareSection></VirtualSystem></Envelope>
END
}
vmdk='http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'
one='<File ovf:id="f1" ovf:href="box-disk001.vmdk"/>' onedisk="<Disk ovf:capacity=\"24\" ovf:capacityAllocationUnits=\"byte * 2^20\" ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:format=\"$vmdk\"/>"
hardware=$(item 3 1 "2 CPUs" VirtualQuantity 2; item 4 2 memory AllocationUnits "byte * 2^20" VirtualQuantity 1536
    item 17 7 "disk 1" Parent 3 AddressOnParent 0 HostResource ovf:/disk/d1; item 6 3 "SCSI" ResourceSubType lsilogic
    item 10 9 net Connection "VM Network" ResourceSubType VmxNet3; item 23 11 "USB")

say "an OVA as VMware writes it"
envelope "$one" "$onedisk" "$hardware" > box.ovf
for file in box.ovf box-disk001.vmdk; do echo "SHA256($file)= $(sha256sum < $file | cut -d' ' -f1)"; done > box.mf
tar --format=ustar -cf box.ova box.ovf box.mf box-disk001.vmdk
import -d new box.ova && ok || bad "import: $(cat out)"
grep -q "2 files are as the manifest says" out && ok || bad "manifest: $(cat out)"
qemu-img compare -f raw -F qcow2 one.raw new/My___box-disk1.qcow2 > out 2>&1 && ok || bad "the disk differs: $(cat out)"
says new/My___box.json "['name']" "My & box"; says new/My___box.json "['processors']" 2; says new/My___box.json "['memory']" $((1536 << 20)); says new/My___box.json "['firmware']" efi
says new/My___box.json "['drives'][0]['bus']" scsi; says new/My___box.json "['drives'][0]['controller']" lsilogic; says new/My___box.json "['drives'][0]['filename']" My___box-disk1.qcow2
says new/My___box.json "['networks'][0]['model']" VmxNet3; says new/My___box.json "['operating-system']" "Debian GNU/Linux 12"; says new/My___box.json "['not-taken-over'][0]" USB
import -d new box.ova; [ $? = 1 ] && grep -q "exists already" out && ok || bad "what is there was overwritten: $(cat out)"
import --describe box.ova && cp out described && says described "['drives'][0]['capacity']" $((24 << 20))
import -q -O raw -d raw box.ova && cmp -s one.raw raw/My___box-disk1.raw && [ ! -s out ] && ok || bad "to raw: $(cat out)"
import -q -c -O qcow2 -o cluster_size=4k -d small box.ova && qemu-img check small/My___box-disk1.qcow2 > out 2>&1 && qemu-img compare -f raw -F qcow2 one.raw small/My___box-disk1.qcow2 > out 2>&1 && ok || bad "compressed: $(cat out)"

say "an OVF with its files beside it: vhd, an empty disk, a CD, words for units"
envelope '<File ovf:id="f2" ovf:href="two.vhd"/><File ovf:id="f3" ovf:href="cd.iso"/>' '<Disk ovf:capacity="8388608" ovf:diskId="d2" ovf:fileRef="f2" ovf:format="http://go.microsoft.com/fwlink/?LinkId=137171#vhd"/><Disk ovf:capacity="2" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="d3" ovf:format="x"/>' \
    "$(item 4 2 memory AllocationUnits MegaBytes VirtualQuantity 512; item 20 3 SATA ResourceSubType AHCI; item 5 4 IDE ResourceSubType PIIX4; item 17 5 a Parent 3 AddressOnParent 0 HostResource /disk/d2
    item 17 6 b Parent 3 AddressOnParent 1 HostResource /disk/d3; item 15 7 cd Parent 4 AddressOnParent 1 HostResource ovf:/file/f3)" "../../etc/x" > plain.ovf
import -d plain plain.ovf && ok || bad "import: $(cat out)"
grep -q "no manifest" out && ok || bad "$(cat out)"
qemu-img compare -f raw -F qcow2 two.raw plain/_._.._etc_x-disk1.qcow2 > out 2>&1 && ok || { ls plain; bad "the disk differs: $(cat out)"; }
[ "$(qemu-img info --output=json plain/*-disk2.qcow2 | sed -n 's/.*virtual-size": \([0-9]*\).*/\1/p' | tail -1)" = $((2 << 30)) ] && ok || bad "the empty disk"
cmp -s cd.iso plain/*-cdrom3.iso && ok || bad "the CD"
says plain/*.json "['drives'][0]['bus']" sata; says plain/*.json "['drives'][2]['bus']" ide; says plain/*.json "['drives'][2]['medium']" cdrom; says plain/*.json "['memory']" $((512 << 20))

say "archives of other kinds"
mkdir -p long; name=$(printf 'd%.0s' {1..120}).vmdk; cp box-disk001.vmdk "long/$name"
envelope "<File ovf:id=\"f1\" ovf:href=\"$name\"/>" "$onedisk" "$hardware" > long/box.ovf
for format in gnu pax; do tar -C long --format=$format -cf long-$format.ova box.ovf "$name"; import -q -O raw -d long-$format long-$format.ova && cmp -s one.raw long-$format/*.raw && ok || bad "$format: $(cat out)"; done

say "what is refused"
cp box.ova damaged.ova; printf X | dd of=damaged.ova bs=1 seek=$(($(stat -c %s box.ova) - 200000)) conv=notrunc 2> /dev/null
refuse "its sha256 differs" damaged.ova
refuse "neither a tar archive" one.raw; head -c 3000 one.raw > text; refuse "line 1" text
head -c 9000 box.ova > cut.ova; refuse "the archive ends" cut.ova
cp box.ova sum.ova; printf X | dd of=sum.ova bs=1 seek=10 conv=notrunc 2> /dev/null; refuse "checksum" sum.ova
for href in /etc/passwd ../one.raw http://localhost/x json:{} missing.vmdk; do
    envelope "<File ovf:id=\"f1\" ovf:href=\"$href\"/>" "$onedisk" "$hardware" > bad.ovf; refuse "names the file" bad.ovf
done
ln -s /etc/passwd linked.vmdk; envelope '<File ovf:id="f1" ovf:href="linked.vmdk"/>' "$onedisk" "$hardware" > bad.ovf; refuse "names the file" bad.ovf
envelope '<File ovf:id="f1" ovf:href="two.vhd" ovf:compression="gzip"/>' "$onedisk" "$hardware" > bad.ovf; refuse "compressed with gzip" bad.ovf
envelope "$one" "${onedisk/streamOptimized/}" "${hardware/d1/none}" > bad.ovf; refuse "there is no disk 'none'" bad.ovf
envelope "$one" "${onedisk//vmdk/unknown}" "$hardware" > bad.ovf; refuse "is not known" bad.ovf
envelope "$one" "${onedisk/\"24\"/\"a lot\"}" "$hardware" > bad.ovf; refuse "is no number" bad.ovf
envelope "$one" "${onedisk/2^20/2^70}" "$hardware" > bad.ovf; refuse "none of bytes" bad.ovf
qemu-img create -q -f qcow2 -b /etc/passwd -F raw names.qcow2 1M; envelope '<File ovf:id="f1" ovf:href="names.qcow2"/>' '<Disk ovf:capacity="1" ovf:diskId="d1" ovf:fileRef="f1" ovf:format="qcow2"/>' "$hardware" > bad.ovf; refuse "passwd" bad.ovf
{ printf '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">'; for i in {1..9}; do p=$(printf "\\$(printf %o $((96 + i)))") n=$(printf "\\$(printf %o $((97 + i)))"); printf '<!ENTITY %s "&%s;&%s;&%s;&%s;&%s;&%s;&%s;&%s;&%s;&%s;">' "$n" "$p" "$p" "$p" "$p" "$p" "$p" "$p" "$p" "$p" "$p"; done; printf ']><Envelope>&j;</Envelope>'; } > bomb.ovf
refuse "amplification" bomb.ovf
refuse "Expecting one" ; refuse "Could not open" nothing.ova

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
