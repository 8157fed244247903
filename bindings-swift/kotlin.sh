#!/usr/bin/env bash
# Builds the Kotlin package, tests it, and uses its jar from another project.
#
#   bindings-swift/kotlin.sh                       everything, the Android artefacts too
#   bindings-swift/kotlin.sh jvm                   without Android, whose classes are 500 MB from Maven Central and Google's repository
#   bindings-swift/kotlin.sh build                 the jars only, in .cache/maven
#   bindings-swift/kotlin.sh release               all that is published, in .cache/kotlin/release
#   bindings-swift/kotlin.sh -Dtest=CancelTest     some tests; CASE=<part of an id> chooses conformance cases
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
made="$root/.cache/kotlin"
plugins=org.apache.maven.plugins
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
maven=(mvn -B -ntp -q -Dstyle.color=never -Dsurefire.failIfNoSpecifiedTests=false "-Dmaven.repo.local=$root/.cache/maven")

if ! command -v mvn >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "The Kotlin package is built with Maven and a JDK (17 or newer): install them." >&2
		exit 1
	fi
	echo "Installing Maven and a JDK." >&2
	"$root/tests/again.sh" bash -c "apt-get update -qq || true; apt-get install -y -qq --no-install-recommends maven default-jdk-headless" >/dev/null
fi

# Maven, and once more where a download broke: what has come is kept, and what was not there before is asked for again.
maven() {
	local again log="$made/maven.log"
	mkdir -p "$made"
	for again in "" -U -U; do
		if "${maven[@]}" ${again:+"$again"} "$@" 2>&1 | tee "$log"; then return; fi
		if ! grep -q 'Could not transfer' "$log"; then return 1; fi
		echo "A download broke; Maven goes on from there." >&2
	done
	return 1
}

library="$("$here/native.sh" kotlin "$made/generated")"

# Where JNA looks in a jar.
case "$(uname -s)-$(uname -m)" in
	Linux-x86_64) platform=linux-x86-64 ;;
	Linux-aarch64) platform=linux-aarch64 ;;
	Darwin-arm64) platform=darwin-aarch64 ;;
	Darwin-x86_64) platform=darwin-x86-64 ;;
	*) echo "There is no native library for this system." >&2; exit 1 ;;
esac
shipped="$made/native/$platform/$(basename "$library")"
# The release's workflow notes what it has built in `built.sum`. Any other library is that of the tests, which is for nobody else.
of_tests() { ! (cd "$made" && grep -F "  native/$platform/$(basename "$library")" built.sum | sha256sum --quiet --check -) >/dev/null 2>&1; }
if [ "${1:-}" = release ] && ! of_tests; then
	echo "The library of $platform is the one that was built for the release." >&2
elif [ ! "$shipped" -nt "$library" ]; then
	mkdir -p "$(dirname "$shipped")"
	if ! strip -x -o "$shipped" "$library" 2>/dev/null; then cp "$library" "$shipped"; fi
	touch "$shipped"
fi

# Maven takes no classes out of an AAR: they become jars in the local repository that only this build knows.
unpacked() {
	local group="$1" name="$2" version="$3"
	local from="$root/.cache/maven/${group//.//}/$name/$version/$name-$version.aar" into="$made/unpacked/$name-$version"
	if [ -e "$into/done" ]; then return; fi
	mkdir -p "$into"
	maven "$plugins:maven-dependency-plugin:3.8.1:get" "-Dartifact=$group:$name:$version:aar" -Dtransitive=false \
		-DremoteRepositories=https://maven.google.com &&
		(cd "$into" && jar xf "$from" classes.jar) &&
		maven "$plugins:maven-install-plugin:3.1.4:install-file" "-Dfile=$into/classes.jar" \
			-DgroupId=dev.smalt.unpacked "-DartifactId=$name" "-Dversion=$version" -Dpackaging=jar &&
		touch "$into/done"
}

# What the Android modules are compiled against and tested with.
android() {
	if ! { unpacked androidx.test monitor 1.8.0 && unpacked androidx.activity activity 1.8.2 && unpacked androidx.core core 1.13.1; }; then
		echo "The Android artefacts can't be tested: androidx is not to be had, neither from Maven Central nor from Google. \`$0 jvm\` leaves them out." >&2
		exit 1
	fi
	if [ ! -e "$made/robolectric/done" ]; then
		maven "$plugins:maven-dependency-plugin:3.8.1:copy" \
			-Dartifact=org.robolectric:android-all-instrumented:14-robolectric-10818077-i7 "-DoutputDirectory=$made/robolectric"
		touch "$made/robolectric/done"
	fi
}

# A module's POM as users get it: what UniFFI made is there to run with, and not to compile against.
published() {
	awk '{ print } /<artifactId>smalt-ffi<\/artifactId>/ { glue = 1 } glue && /<version>/ { print "      <scope>runtime</scope>"; glue = 0 }' "$1/pom.xml"
}

# The version that is built, which all modules have.
version_here() { sed -n 's#^  <version>\(.*\)</version>#\1#p' pom.xml; }

# All that is published, by its name, in .cache/kotlin/release.
released() {
	local into="$made/release" documented="$made/documented" version name module
	version="$(version_here)"
	rm -rf "$into" "$documented"
	mkdir -p "$into" "$documented"
	documentation
	cp README.md "$documented/"
	cp pom.xml "$into/smalt-parent-$version.pom"
	for module in ffi natives smalt android androidx; do
		name="$(sed -n 's#^  <artifactId>\(.*\)</artifactId>#\1#p' "$module/pom.xml")-$version"
		cp "$module/target/$name"*.?ar "$into/"
		case "$module" in
			android*)
				rm "$into/$name.jar"
				cp "$module/published.pom" "$into/$name.pom"
				;;
			smalt) published smalt >"$into/$name.pom" ;;
			natives)
				# Maven would put the libraries in once more: their sources are no Java's.
				jar cf "$into/$name-sources.jar" -C "$documented" .
				cp natives/pom.xml "$into/$name.pom"
				;;
			*) cp "$module/pom.xml" "$into/$name.pom" ;;
		esac
		# What is documented is `smalt`; the others say where.
		if [ "$module" = smalt ]; then jar cf "$into/$name-javadoc.jar" -C smalt/target/dokka .; else jar cf "$into/$name-javadoc.jar" -C "$documented" .; fi
	done
	python3 published.py "$into"
	if of_tests; then echo "A trial, not to be published: the library of $platform is that of the tests." >&2; fi
}

# As people see it; what is public and says nothing fails it, but for what the language adds by itself.
documentation() {
	local log="$made/dokka.log"
	if ! "$root/tests/again.sh" bash -c '"${@:2}" >"$1"' _ "$log" "${maven[@]/#-q/--show-version}" -U -pl smalt org.jetbrains.dokka:dokka-maven-plugin:dokka; then
		cat "$log" >&2
		exit 1
	fi
	if grep '^\[WARNING\]' "$log" | grep -vE '/(toString|hashCode|close|values|valueOf|entries)/#|\.Companion/ '; then
		echo "Dokka warns of these." >&2
		exit 1
	fi
}

cd "$here/kotlin"
case "${1:-}" in
	build)
		maven clean install -DskipTests
		exit 0
		;;
	release)
		android
		maven -Pandroid,release clean install -DskipTests
		released
		ls "$made/release"
		exit 0
		;;
esac

# What plays the server of the remote backend's cases, and what plays bad networks.
SMALT_CONFORMANCE_SERVER="$("$root/tests/conformance/program.sh")"
SMALT_FAULTS="$("$root/tests/faults/program.sh")"
export SMALT_CONFORMANCE_SERVER SMALT_FAULTS
all=()
case "${1:-}" in
	"")
		android
		all=(-Pandroid,release)
		# The sample screen is drawn by a library for this platform.
		if [ "$platform" = linux-x86-64 ]; then all=(-Pandroid,release,compose); fi
		;;
	jvm) shift ;;
esac
maven ${all[@]+"${all[@]}"} clean install "$@"
# Maven is content when a name fits no test: some modules have none.
if ! compgen -G "smalt/target/surefire-reports/TEST-*.xml" >/dev/null; then
	echo "No test has such a name." >&2
	exit 1
fi
if [ "$#" = 0 ]; then
	# What would be published, and whether it is what it should be; without Android's it can't be put together.
	if [ "${#all[@]}" != 0 ]; then released; else documentation; fi
	# Another project, which knows nothing but the jars. The POM is the published one, and nothing of the glue is there to compile against.
	installed="$root/.cache/maven/dev/smalt/smalt/$(version_here)"
	published smalt >"$installed/smalt-$(version_here).pom"
	maven -f consumer/pom.xml clean test "$plugins:maven-dependency-plugin:3.8.1:list" -DincludeArtifactIds=smalt-ffi "-DoutputFile=$made/glue.txt"
	if ! grep -q ':runtime' "$made/glue.txt"; then
		cat "$made/glue.txt" >&2
		echo "The published artefact gives users UniFFI's glue to compile against." >&2
		exit 1
	fi
fi
