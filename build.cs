// The build program: ./build.sh VERB, ./build.ps1 VERB or dotnet run build.cs -- VERB. A verb is one entry of the table below.
#:property PublishAot=false

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;

const string HeadersVariable = "STIG_CUDA_INCLUDE";
Verb[] verbs = [];
verbs =
[
    new("build", "", "install what is missing and build everything; the program is artifacts/stig/stig", _ => Build()),
    new("test", "[--filter NAME] [ARGS]", "build, run all tests or those whose name contains NAME; ARGS go to each test program", Test),
    new("soak", "[--scale SHARE] [--filter NAME]", "run the long forms of the tests that have one, or a share of them; writes bench/results/soak.json", Soak),
    new("demo", "[ARGS]", "build the program and run `stig demo --out artifacts/demo ARGS`", Demo),
    new("bundle", "", "compile ahead of time and pack all that a machine without the SDK needs: artifacts/stig-bundle.tar.xz", _ => Bundle()),
    new("ptx", "", "assemble the CUDA kernels with ptxas, where it can be had, and renew docs/ptx-resources.md", _ => Ptx()),
    new("sanitize", "", "run the native core's operations under AddressSanitizer, LeakSanitizer, UBSan and ThreadSanitizer", _ => Sanitize()),
    new("headers", "[FOLDER]", "hold the CUDA bindings and the simulated libraries against NVIDIA's headers, where they can be had", Headers),
    new("format", "[--fix]", "check the layout of the sources, or correct it", Format),
    new("clean", "", "remove artifacts/", _ => Clean()),
    new("help", "", "show this list", _ => Help()),
];

string verbName = args.Length == 0 ? "build" : args[0] is "--help" or "-h" ? "help" : args[0];
try
{
    Environment.CurrentDirectory = Root();
    Verb verb = verbs.FirstOrDefault(v => v.Name == verbName)
        ?? throw new BuildException($"there is no verb '{verbName}'; ./build.sh help lists them");
    if (verb.Usage.Length == 0 && args.Length > 1)
    {
        throw new BuildException($"'{verbName}' takes no arguments, but got '{string.Join(' ', args[1..])}'");
    }

    return verb.Run([.. args.Skip(1)]);
}
catch (BuildException error)
{
    Console.Error.WriteLine($"build: {error.Message}");
    return 1;
}

int Help()
{
    Console.WriteLine("usage: ./build.sh [VERB] [ARGUMENTS]\n");
    foreach (Verb verb in verbs)
    {
        Console.WriteLine($"  {$"{verb.Name} {verb.Usage}",-36} {verb.Description}");
    }

    return 0;
}

static int Build()
{
    SetUp();
    BuildNative(withTests: true);
    Heading("solution");
    Run("dotnet", "build", "Stig.sln", "-c", "Release", "--nologo");
    Run("dotnet", "publish", "src/Stig.Cli", "-c", "Release", "--nologo", "--no-build", "-o", "artifacts/stig");
    return 0;
}

// Only what the program needs is built, so that a first look does not wait for the test projects.
static int Demo(string[] arguments)
{
    SetUp();
    BuildNative(withTests: false);
    Heading("program");
    Run("dotnet", "publish", "src/Stig.Cli", "-c", "Release", "--nologo", "-o", "artifacts/stig");
    Heading("demo");
    return Start(Path.GetFullPath("artifacts/stig/stig"), ["demo", "--out", "artifacts/demo", .. arguments]);
}

// The program compiled ahead of time, the native core and the libraries that it needs beyond the C++ run-time, and two scripts. It finds
// the CUDA libraries on the machine that it is unpacked on.
static int Bundle()
{
    const long limit = 36L << 20;
    const string folder = "artifacts/bundle/stig";
    const string archive = "artifacts/stig-bundle.tar.xz";
    SetUp();
    BuildNative(withTests: false);
    Heading("program, compiled ahead of time");
    if (Directory.Exists("artifacts/bundle"))
    {
        Directory.Delete("artifacts/bundle", recursive: true);
    }

    Run("dotnet", "publish", "src/Stig.Cli", "-c", "Release", "--nologo", "-r", $"linux-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}",
        "-p:PublishAot=true", "-o", folder);
    foreach (string symbols in Directory.EnumerateFiles(folder).Where(path => Path.GetExtension(path) is ".dbg" or ".pdb" or ".xml").ToArray())
    {
        File.Delete(symbols);
    }

    Heading("libraries");
    string core = Directory.EnumerateFiles(folder, "libstig_native*.so").First();
    (int code, string dependencies) = Capture("ldd", core);
    if (code != 0)
    {
        throw new BuildException($"`ldd {core}` failed: {dependencies.Trim()}");
    }

    string[] wanted = ["libdnnl.", "libkissfft", "libgomp.", "libOpenCL.", "libisal."];
    Directory.CreateDirectory(Path.Combine(folder, "lib"));
    foreach (string[] words in dependencies.Split('\n').Select(line => line.Split(' ', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        .Where(words => words.Length > 2 && wanted.Any(words[0].StartsWith)))
    {
        File.Copy(words[2], Path.Combine(folder, "lib", words[0]), overwrite: true);
        Console.WriteLine($"{words[0]} from {words[2]}");
    }

    foreach (string document in (string[])["LICENSE", "THIRD-PARTY-NOTICES"])
    {
        File.Copy(document, Path.Combine(folder, document), overwrite: true);
    }

    Script(Path.Combine(folder, "run"), """
        #!/bin/sh
        # Runs stig with the libraries beside it: ./run refine --help
        here=$(cd "$(dirname "$0")" && pwd)
        LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/stig" "$@"
        """);
    CopyProgram("deploy/gpu-check", Path.Combine(folder, "gpu-check"));

    // The comparison with PyTorch, for machines that have it.
    Directory.CreateDirectory(Path.Combine(folder, "peers"));
    foreach (string file in (string[])["generator.py", "run"])
    {
        CopyProgram($"bench/peers/{file}", Path.Combine(folder, "peers", file));
    }

    Heading("archive");
    Run("tar", "-C", "artifacts/bundle", "-cJf", archive, "stig");
    long bytes = new FileInfo(archive).Length;
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{archive}: {bytes / 1048576.0:F1} MiB"));
    return bytes < limit ? 0 : throw new BuildException($"{archive} has {bytes} bytes; it has to stay below {limit}");
}

// The native core and its test, built anew with each sanitizer, at every instruction-set level that this processor runs.
static int Sanitize()
{
    SetUp();
    bool passed = true;
    foreach (string sanitizer in (string[])["address", "thread"])
    {
        Heading($"building with -fsanitize={sanitizer}");
        string folder = $"artifacts/sanitize/{sanitizer}";
        Run("cmake", "-S", ".", "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", $"-DSTIG_SANITIZE={sanitizer}", "-DSTIG_CUDASIM=OFF");
        Run("cmake", "--build", folder, "--target", "core_tests");
        bool avx512 = File.Exists("/proc/cpuinfo") && File.ReadLines("/proc/cpuinfo").Any(line => line.Contains("avx512vl", StringComparison.Ordinal));
        foreach (string test in Directory.EnumerateFiles($"{folder}/tests/native", "core_test*").Order(StringComparer.Ordinal)
            .Where(test => avx512 || !test.EndsWith("-v4", StringComparison.Ordinal)))
        {
            Heading($"{Path.GetFileName(test)} under {sanitizer}");
            // oneDNN starts its threads by OpenMP, which ThreadSanitizer does not understand: what it computes alone is left out, and elsewhere
            // it has one thread, while the core itself has several.
            passed &= sanitizer == "thread"
                ? Start("env", ["OMP_THREAD_LIMIT=1", test, "--without", "convolution"]) == 0
                : Start("env", ["OMP_NUM_THREADS=2", test]) == 0;
        }
    }

    Console.WriteLine(passed ? "no sanitizer found anything" : "failed: the reports are above");
    return passed ? 0 : 1;
}

static void Script(string path, string text)
{
    File.WriteAllText(path, text + "\n");
    MakeExecutable(path);
}

static void CopyProgram(string from, string to)
{
    File.Copy(from, to, overwrite: true);
    MakeExecutable(to);
}

static void MakeExecutable(string path)
{
    if (!OperatingSystem.IsWindows())
    {
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }
}

static int Clean()
{
    if (Directory.Exists("artifacts"))
    {
        Directory.Delete("artifacts", recursive: true);
    }

    return 0;
}

static int Format(string[] arguments)
{
    bool fix = arguments switch
    {
        [] => false,
        ["--fix"] => true,
        _ => throw new BuildException($"'format' takes only --fix, but got '{string.Join(' ', arguments)}'"),
    };
    string[] native = [.. Directory.EnumerateFiles("native", "*", SearchOption.AllDirectories)
        .Where(path => path.EndsWith(".cpp", StringComparison.Ordinal) || path.EndsWith(".h", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal)];
    Run("clang-format", [.. fix ? (string[])["-i"] : ["--dry-run", "-Werror"], .. native]);
    foreach (string folder in (string[])["src", "tests", "samples"])
    {
        if (Directory.Exists(folder))
        {
            Run("dotnet", ["format", "whitespace", folder, "--folder", .. fix ? (string[])[] : ["--verify-no-changes"]]);
        }
    }

    return 0;
}

// Debian's packages, each with a sign that it is there. A library may also stand under CMAKE_PREFIX_PATH, where CMake looks too.
static void SetUp()
{
    (string Package, bool Present)[] needed =
    [
        ("build-essential", OnPath("g++")),
        ("cmake", OnPath("cmake")),
        ("ninja-build", OnPath("ninja")),
        ("libdnnl-dev", HasHeader("dnnl.hpp") || HasHeader("oneapi/dnnl/dnnl.hpp")),
        // oneDNN's CMake package looks for OpenCL, which it was built with.
        ("ocl-icd-opencl-dev", HasHeader("CL/cl.h") && HasLibrary("libOpenCL.so")),
        ("libkissfft-dev", HasHeader("kissfft/kiss_fft.h")),
        ("libisal-dev", HasHeader("isa-l/igzip_lib.h")),
    ];
    string[] missing = [.. needed.Where(item => !item.Present).Select(item => item.Package)];
    if (missing.Length == 0)
    {
        return;
    }

    string[] install = ["install", "-y", "--no-install-recommends", .. missing];
    string command = $"apt-get update && apt-get {string.Join(' ', install)}";
    if (!OnPath("apt-get"))
    {
        throw new BuildException($"these are missing, by their Debian names: {string.Join(", ", missing)}; install your system's"
            + $" equivalents (on Debian 12: {command})");
    }

    if (!Environment.IsPrivilegedProcess)
    {
        throw new BuildException($"missing packages: {string.Join(", ", missing)}; run: sudo sh -c '{command}'");
    }

    Heading($"installing {string.Join(", ", missing)}");
    Environment.SetEnvironmentVariable("DEBIAN_FRONTEND", "noninteractive");
    Run("apt-get", "update");
    Run("apt-get", install);
}

// What one test wants and the program does not need. As root on Debian it is installed; where it is missing, that test says so and is skipped.
static void SetUpTests()
{
    if (!Environment.IsPrivilegedProcess || !OnPath("apt-get") || (OnPath("slurmctld") && OnPath("munged")))
    {
        return;
    }

    Heading("Slurm, for the test of deploy/slurm");
    Environment.SetEnvironmentVariable("DEBIAN_FRONTEND", "noninteractive");
    (int code, _) = Capture("sh", "-c", "apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge");
    Console.WriteLine(code == 0 ? "installed" : "not to be had here; the test is skipped");
}

static void BuildNative(bool withTests)
{
    Heading(withTests ? "native core and simulated CUDA libraries" : "native core");
    string output = Path.GetFullPath("artifacts/native");
    Run("cmake", "-S", ".", "-B", "artifacts/cmake", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-Werror=dev",
        $"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={output}");
    Run("cmake", ["--build", "artifacts/cmake", .. withTests ? (string[])[] : ["--target", "native_core"]]);
}

// Runs the test programs one after another, takes the counts from the report that each writes, and ends with the totals.
static int Test(string[] arguments)
{
    (string? filter, string[] passedOn) = TakeFilter(arguments);
    Build();
    SetUpTests();

    string results = Path.GetFullPath("artifacts/tests");
    if (Directory.Exists(results))
    {
        Directory.Delete(results, recursive: true);
    }

    if (File.Exists(Path.Combine(CachedHeaders(), "cuda.h")) && string.IsNullOrEmpty(Environment.GetEnvironmentVariable(HeadersVariable)))
    {
        Environment.SetEnvironmentVariable(HeadersVariable, CachedHeaders());
    }

    Totals totals = new();
    foreach (string program in TestPrograms())
    {
        Heading(program);
        int code = Start("dotnet",
        [
            $"artifacts/dotnet/bin/{program}/release/{program}.dll",
            "--results-directory", results, "--report-xunit-xml", "--report-xunit-xml-filename", $"{program}.xml",
            .. filter is null ? (string[])[] : ["--filter-method", $"*{filter}*"], .. passedOn,
        ]);
        totals.Add(program, code, Path.Combine(results, $"{program}.xml"));
    }

    // The native tests are those of the simulated CUDA libraries.
    Heading("ctest");
    string native = Path.Combine(results, "ctest.xml");
    int nativeCode = Start("ctest",
    [
        "--test-dir", "artifacts/cmake", "--output-on-failure", "--no-tests=ignore", "--output-junit", native,
        .. filter is null ? (string[])[] : ["--tests-regex", Regex.Escape(filter)],
    ]);
    totals.AddNative(nativeCode, native);

    const string assembling = "kernels_assemble";
    if (filter is null || assembling.Contains(filter, StringComparison.OrdinalIgnoreCase))
    {
        Heading("kernels");
        KernelCheck kernels = CheckKernels(renewTable: false);
        Console.WriteLine(kernels.Line);
        totals.Add(assembling, kernels);
    }

    Heading("totals");
    totals.Print(filter);
    return totals.Succeeded ? 0 : 1;
}

// Runs the tests that have a long form (tests/Common/Soak.cs) with its whole amount, or a share of it, and keeps what came of each.
static int Soak(string[] arguments)
{
    (string? filter, string[] others) = TakeFilter(arguments);
    string scale = others switch
    {
        [] => "1",
        ["--scale", string share] => share,
        _ => throw new BuildException($"'soak' takes only --scale and --filter, but got '{string.Join(' ', others)}'"),
    };
    if (!double.TryParse(scale, NumberStyles.Float, CultureInfo.InvariantCulture, out double wanted) || wanted is not (> 0 and <= 1))
    {
        throw new BuildException($"--scale is a share of the long forms, above 0 and at most 1, not '{scale}'");
    }

    Build();
    string results = Path.GetFullPath("artifacts/soak");
    if (Directory.Exists(results))
    {
        Directory.Delete(results, recursive: true);
    }

    Environment.SetEnvironmentVariable("STIG_SOAK_SCALE", scale);
    Totals totals = new();
    JsonArray tests = [];
    Stopwatch clock = Stopwatch.StartNew();
    foreach (string program in TestPrograms())
    {
        Heading(program);
        string report = Path.Combine(results, $"{program}.xml");
        int code = Start("dotnet",
        [
            $"artifacts/dotnet/bin/{program}/release/{program}.dll", "--output", "Detailed", "--filter-trait", "Category=Soak",
            .. filter is null ? (string[])[] : ["--filter-method", $"*{filter}*"],
            "--results-directory", results, "--report-xunit-xml", "--report-xunit-xml-filename", $"{program}.xml",
        ]);
        totals.Add(program, code, report);
        foreach (XElement test in File.Exists(report) ? XDocument.Load(report).Descendants("test") : [])
        {
            string outcome = test.Attribute("result")!.Value switch { "Pass" => "passed", "Fail" => "failed", _ => "skipped" };
            string? said = (test.Element("failure")?.Element("message") ?? test.Element("reason") ?? test.Element("output"))?.Value.Trim();
            tests.Add(new JsonObject
            {
                ["test"] = test.Attribute("name")!.Value,
                ["outcome"] = outcome,
                ["seconds"] = double.Parse(test.Attribute("time")!.Value, CultureInfo.InvariantCulture),
                ["report"] = said,
            });
        }
    }

    Heading("totals");
    totals.Print(filter);
    string? model = File.Exists("/proc/cpuinfo")
        ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim()
        : null;
    JsonObject summary = new()
    {
        ["date"] = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        ["share_of_long_forms"] = wanted,
        ["processor"] = model ?? RuntimeInformation.ProcessArchitecture.ToString(),
        ["cores"] = Environment.ProcessorCount,
        ["seconds"] = Math.Round(clock.Elapsed.TotalSeconds),
        ["outcome"] = totals.Succeeded ? "passed" : "failed",
        ["tests"] = tests,
    };
    const string file = "bench/results/soak.json";
    File.WriteAllText(file + ".new", summary.ToJsonString(new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n");
    File.Move(file + ".new", file, overwrite: true);
    Console.WriteLine($"written: {file}");
    return totals.Succeeded ? 0 : 1;
}

static IEnumerable<string> TestPrograms() => Directory.EnumerateFiles("tests", "*.csproj", SearchOption.AllDirectories)
    .Select(path => Path.GetFileNameWithoutExtension(path)!).Order(StringComparer.Ordinal);

static int Ptx()
{
    KernelCheck kernels = CheckKernels(renewTable: true);
    Console.WriteLine(kernels.Line);
    return kernels.Result == CheckResult.Failed ? 1 : 0;
}

// Assembles every kernel for the oldest architecture that the project supports and the newest that ptxas 11.8 knows. A message, a
// spill or local memory is a failure. The table of resources is renewed, or has to agree with what was assembled.
static KernelCheck CheckKernels(bool renewTable)
{
    string missing = ObtainPtxas(out string ptxas);
    if (missing.Length > 0)
    {
        return new(CheckResult.Skipped, $"skipped: kernels not assembled: {missing}");
    }

    const string table = "docs/ptx-resources.md";
    string[] architectures = ["sm_80", "sm_90"];
    string[] files = [.. Directory.EnumerateFiles("native/ptx", "*.ptx").Order(StringComparer.Ordinal)];
    SortedDictionary<(string File, string Entry), KernelResources[]> entries = [];
    foreach (string file in files)
    {
        for (int i = 0; i < architectures.Length; i++)
        {
            string cubin = $"artifacts/ptx/{Path.GetFileNameWithoutExtension(file)}.{architectures[i]}.cubin";
            Directory.CreateDirectory(Path.GetDirectoryName(cubin)!);
            (int code, string output) = Capture(ptxas, "--verbose", $"--gpu-name={architectures[i]}", $"--output-file={cubin}", file);
            if (code != 0 || output.Split('\n').Any(IsComplaint))
            {
                return new(CheckResult.Failed, $"failed: {file} for {architectures[i]}: {output.Trim()}");
            }

            foreach (KernelResources kernel in KernelResources.Parse(output))
            {
                if (kernel.Local > 0 || kernel.Spills > 0)
                {
                    return new(CheckResult.Failed, $"failed: {file}: {kernel.Entry} for {architectures[i]} takes {kernel.Spills} bytes of"
                        + $" spills and {kernel.Local} bytes of local memory");
                }

                (string, string) key = (Path.GetFileName(file), kernel.Entry);
                entries.TryAdd(key, new KernelResources[architectures.Length]);
                entries[key][i] = kernel;
            }
        }
    }

    string release = Regex.Match(Capture(ptxas, "--version").Output, "release [0-9.]+").Value;
    string text = ResourceTable(entries, release);
    string assembled = $"{entries.Count} entries of {files.Length} files assembled for {string.Join(" and ", architectures)} without spills";
    if (renewTable)
    {
        string temporary = table + ".new";
        File.WriteAllText(temporary, text);
        File.Move(temporary, table, overwrite: true);
    }
    else if (!File.Exists(table) || (File.ReadAllText(table) is var stored && stored != text
        && stored.Contains($"ptxas {release};", StringComparison.Ordinal)))
    {
        return new(CheckResult.Failed, $"failed: {table} does not show the kernels as they are; ./build.sh ptx renews it");
    }

    return new(CheckResult.Passed, $"passed: {assembled} (ptxas {release})");
}

// ptxas --verbose writes its figures in lines that begin with "ptxas info" or are indented; all else is a warning or an error.
static bool IsComplaint(string line) =>
    line.Length > 0 && line[0] != ' ' && !line.StartsWith("ptxas info", StringComparison.Ordinal);

static string ResourceTable(SortedDictionary<(string File, string Entry), KernelResources[]> entries, string release)
{
    StringBuilder text = new($"""
        # Resources of the CUDA kernels

        Assembled by ptxas {release}; renewed by `./build.sh ptx`. No entry spills or uses local memory: the check fails if one does.

        | file | entry | registers, sm_80 | registers, sm_90 | shared memory, bytes | spills, bytes |
        | --- | --- | --- | --- | --- | --- |

        """.ReplaceLineEndings("\n"));
    foreach (((string file, string entry), KernelResources[] kernel) in entries)
    {
        text.Append(CultureInfo.InvariantCulture,
            $"| {file} | `{entry}` | {kernel[0].Registers} | {kernel[1].Registers} | {kernel[1].Shared} | {kernel.Max(k => k.Spills)} |\n");
    }

    return text.ToString();
}

// NVIDIA's headers say whether the bindings and the simulated libraries declare what NVIDIA does.
static int Headers(string[] arguments)
{
    string include = arguments.Length == 1 ? Path.GetFullPath(arguments[0]) : arguments.Length == 0 ? CachedHeaders()
        : throw new BuildException($"'headers' takes one folder or none, but got '{string.Join(' ', arguments)}'");
    if (arguments.Length == 0 && !File.Exists(Path.Combine(include, "cuda.h")))
    {
        string missing = ObtainFromDebian("nvidia-cuda-dev", "774 MB, for its headers", "./usr/include", include);
        if (missing.Length > 0)
        {
            Console.WriteLine($"skipped: headers not checked: {missing}; ./build.sh headers FOLDER checks those of a toolkit");
            return 0;
        }
    }

    Heading($"headers in {include}");
    const string project = "Stig.Interop.Tests";
    Run("dotnet", "build", $"tests/{project}", "-c", "Release", "--nologo", "-v", "quiet");
    Environment.SetEnvironmentVariable(HeadersVariable, include);
    int code = Start("dotnet", [$"artifacts/dotnet/bin/{project}/release/{project}.dll", "--filter-class", "*HeaderTests"]);
    if (code == 0)
    {
        foreach (string report in Directory.EnumerateFiles("artifacts/headers", "*.txt").Order(StringComparer.Ordinal))
        {
            Console.Write(File.ReadAllText(report));
        }
    }

    return code;
}

static string Cache()
{
    string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
    cache = string.IsNullOrEmpty(cache) ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache") : cache;
    return Path.Combine(cache, "stig");
}

// What is NVIDIA's stays outside the tree: its licence allows the use, not that it is passed on.
static string CachedPtxas() => Path.Combine(Cache(), "ptxas-11.8", "ptxas");

static string CachedHeaders() => Path.Combine(Cache(), "cuda-headers-11.8", "include");

// On PATH, or from an earlier download; empty when there is none.
static string FindPtxas()
{
    string? onPath = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .SelectMany(folder => (string[])[Path.Combine(folder, "ptxas"), Path.Combine(folder, "ptxas.exe")]).FirstOrDefault(File.Exists);
    return onPath ?? (File.Exists(CachedPtxas()) ? CachedPtxas() : "");
}

// Where ptxas is, obtained if need be; otherwise why there is none.
static string ObtainPtxas(out string ptxas)
{
    ptxas = FindPtxas();
    if (ptxas.Length > 0)
    {
        return "";
    }

    ptxas = CachedPtxas();
    return ObtainFromDebian("nvidia-cuda-toolkit", "84 MB, for its ptxas", "./usr/bin/ptxas", ptxas);
}

// A file or folder of a Debian package, taken out of it without what it depends on. The section non-free is reached by a copy of the
// machine's own sources that names no other, with lists of its own, so that nothing of the system changes. Returns why it cannot be had,
// or nothing.
static string ObtainFromDebian(string package, string what, string member, string destination)
{
    string name = Path.GetFileName(member);
    Dictionary<string, string> system = File.Exists("/etc/os-release")
        ? File.ReadAllLines("/etc/os-release").Where(line => line.Contains('=')).ToDictionary(line => line[..line.IndexOf('=')],
            line => line[(line.IndexOf('=') + 1)..].Trim('"'))
        : [];
    if (system.GetValueOrDefault("ID") != "debian" || !OnPath("apt-get") || !OnPath("dpkg-deb"))
    {
        return $"there is no {name}, and this is not Debian, whose package {package} has it";
    }

    if (!Environment.IsPrivilegedProcess)
    {
        return $"there is no {name}, and only root can download Debian's package {package}";
    }

    // Beside the destination, so that what is complete is moved there in one step.
    string target = Path.GetDirectoryName(destination)!;
    Directory.CreateDirectory(target);
    string work = Path.Combine(target, $".download-{Environment.ProcessId}");
    try
    {
        string parts = Directory.CreateDirectory(Path.Combine(work, "parts")).FullName;
        Directory.CreateDirectory(Path.Combine(work, "lists", "partial"));
        Directory.CreateDirectory(Path.Combine(work, "unpacked"));
        CopySources(system.GetValueOrDefault("VERSION_CODENAME", ""), parts);
        string[] options =
        [
            "-o", "Dir::Etc::SourceList=/dev/null", "-o", $"Dir::Etc::SourceParts={parts}", "-o", $"Dir::State::Lists={work}/lists",
            "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=1",
            "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20", "-q",
        ];
        Heading($"downloading {package} ({what}; NVIDIA's licence; used here only)");
        string get = $"apt-get {string.Join(' ', options)}";
        string download = $"cd '{work}' && {get} update && {get} download {package}"
            + $" && dpkg-deb --fsys-tarfile {package}_*.deb | tar -x -C unpacked '{member}'";
        (int code, string output) = Capture("sh", "-c", download);
        string unpacked = Path.Combine(work, "unpacked", member);
        if (code != 0 || !Path.Exists(unpacked))
        {
            return $"Debian's package {package} could not be had: {output.Split('\n').LastOrDefault(line => line.Length > 0, $"it has no {name}")}";
        }

        Run("mv", "-T", unpacked, destination);
        return "";
    }
    finally
    {
        Directory.Delete(work, recursive: true);
    }
}

// The entries of the machine's package sources that name its release, with the sections in which NVIDIA's packages are.
static void CopySources(string release, string folder)
{
    const string sections = "non-free contrib";
    IEnumerable<string> found = Directory.Exists("/etc/apt/sources.list.d") ? Directory.EnumerateFiles("/etc/apt/sources.list.d") : [];
    foreach (string path in found.Append("/etc/apt/sources.list").Where(File.Exists))
    {
        string text = File.ReadAllText(path);
        string name = Path.Combine(folder, Path.GetFileName(path));
        if (path.EndsWith(".sources", StringComparison.Ordinal))
        {
            string[] entries = [.. Regex.Split(text, @"\n\s*\n")
                .Where(entry => Regex.IsMatch(entry, $@"(?m)^Suites:.*(?<=\s){Regex.Escape(release)}(-security)?(\s|$)"))
                .Select(entry => Regex.Replace(entry.Trim(), "(?m)^Components:.*$", $"Components: {sections}"))];
            if (entries.Length > 0)
            {
                File.WriteAllText(name, string.Join("\n\n", entries) + "\n");
            }
        }
        else if (path.EndsWith(".list", StringComparison.Ordinal))
        {
            string[] lines = [.. text.Split('\n')
                .Select(line => Regex.Match(line, $@"^\s*(deb\s+(\[[^\]]*\]\s+)?\S+\s+{Regex.Escape(release)}(-security|-updates)?)\s"))
                .Where(match => match.Success).Select(match => $"{match.Groups[1].Value} {sections}")];
            if (lines.Length > 0)
            {
                File.WriteAllLines(name, lines);
            }
        }
    }
}

static (string? Filter, string[] Others) TakeFilter(string[] arguments)
{
    string? filter = null;
    List<string> others = [];
    for (int i = 0; i < arguments.Length; i++)
    {
        const string option = "--filter";
        if (arguments[i] == option)
        {
            filter = ++i < arguments.Length ? arguments[i] : "";
        }
        else if (arguments[i].StartsWith(option + "=", StringComparison.Ordinal))
        {
            filter = arguments[i][(option.Length + 1)..];
        }
        else
        {
            others.Add(arguments[i]);
        }
    }

    return filter is "" ? throw new BuildException("--filter needs a part of a test's name") : (filter, [.. others]);
}

static void Heading(string title) => Console.WriteLine($"\n== {title}");

static void Run(string program, params string[] arguments)
{
    int code = Start(program, arguments);
    if (code != 0)
    {
        string start = string.Join(' ', arguments.Take(3));
        throw new BuildException($"`{program} {start}` failed with exit code {code}; its output is above");
    }
}

// Standard input, output and error are the child's own, so that progress shows as it happens.
static int Start(string program, string[] arguments)
{
    try
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments))!;
        process.WaitForExit();
        return process.ExitCode;
    }
    catch (System.ComponentModel.Win32Exception error)
    {
        throw new BuildException($"cannot start '{program}': {error.Message}; install it or put it on PATH");
    }
}

// What a program writes to standard output and error, and its exit code.
static (int Code, string Output) Capture(string program, params string[] arguments)
{
    using Process process = new() { StartInfo = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true } };
    StringBuilder output = new();
    void Add(object sender, DataReceivedEventArgs line)
    {
        lock (output)
        {
            output.Append(line.Data is null ? "" : line.Data + "\n");
        }
    }

    process.OutputDataReceived += Add;
    process.ErrorDataReceived += Add;
    process.Start();
    process.BeginOutputReadLine();
    process.BeginErrorReadLine();
    process.WaitForExit();
    return (process.ExitCode, output.ToString());
}

static bool OnPath(string program) =>
    (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Any(folder => File.Exists(Path.Combine(folder, program)) || File.Exists(Path.Combine(folder, program + ".exe")));

static bool HasHeader(string header) => Prefixes().Any(prefix => File.Exists(Path.Combine(prefix, "include", header)));

// Also in the folders of Debian's architectures, lib/x86_64-linux-gnu and the like.
static bool HasLibrary(string file) => Prefixes().Select(prefix => Path.Combine(prefix, "lib")).Where(Directory.Exists)
    .Any(folder => File.Exists(Path.Combine(folder, file)) || Directory.EnumerateDirectories(folder, "*-linux-gnu").Any(below => File.Exists(Path.Combine(below, file))));

static IEnumerable<string> Prefixes() =>
    (Environment.GetEnvironmentVariable("CMAKE_PREFIX_PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Append("/usr").Append("/usr/local");

static string Root([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;

internal sealed record Verb(string Name, string Usage, string Description, Func<string[], int> Run);

internal enum CheckResult
{
    Passed,
    Failed,
    Skipped,
}

/// <summary>How assembling the kernels came out, and the line that says so.</summary>
internal sealed record KernelCheck(CheckResult Result, string Line);

/// <summary>What an entry takes on one architecture; shared and local memory and spills in bytes.</summary>
internal sealed record KernelResources(string Entry, int Registers, int Shared, int Local, int Spills)
{
    // ptxas --verbose writes, for each entry, a line with its name, one with stack frame and spills, one with registers and memory.
    public static IEnumerable<KernelResources> Parse(string output)
    {
        const string pattern = @"Function properties for (\w+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
            + @"[^\n]*\n[^\n]*Used (\d+) registers(?:[^\n]*?(\d+) bytes smem)?";
        foreach (Match match in Regex.Matches(output, pattern))
        {
            int Number(int group) => match.Groups[group].Success ? int.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : 0;
            yield return new(match.Groups[1].Value, Number(5), Number(6), Number(2), Number(3) + Number(4));
        }
    }
}

internal sealed class BuildException(string message) : Exception(message);

internal sealed class Totals
{
    // Exit codes of Microsoft.Testing.Platform after which the report is complete: all passed, some failed, no test ran.
    private static readonly int[] Completed = [0, 2, 8];
    private readonly List<string> skips = [];
    private readonly List<string> failures = [];
    private int passed;
    private int failed;
    private int skipped;

    public bool Succeeded => failures.Count == 0;

    public void Add(string program, int exitCode, string report)
    {
        int failuresBefore = failures.Count;
        if (!File.Exists(report))
        {
            FailProgram($"{program} ended with exit code {exitCode} without reporting its tests; its output is above");
            return;
        }

        try
        {
            foreach (XElement test in XDocument.Load(report).Descendants("test"))
            {
                Count(program, test);
            }
        }
        catch (XmlException error)
        {
            FailProgram($"{program} ended with exit code {exitCode} and an unreadable report: {error.Message}");
            return;
        }

        if (!Completed.Contains(exitCode) || (exitCode == 2 && failures.Count == failuresBefore))
        {
            FailProgram($"{program} ended with exit code {exitCode}; its output is above");
        }
    }

    /// <summary>Adds what ctest reported, in JUnit's form.</summary>
    public void AddNative(int exitCode, string report)
    {
        int failuresBefore = failures.Count;
        foreach (XElement test in File.Exists(report) ? XDocument.Load(report).Descendants("testcase") : [])
        {
            string name = test.Attribute("name")!.Value;
            switch (test.Attribute("status")!.Value)
            {
                case "run":
                    passed++;
                    break;
                case "fail":
                    failed++;
                    failures.Add($"{name} (ctest)");
                    break;
                default:
                    skipped++;
                    skips.Add($"{name}: not run by ctest");
                    break;
            }
        }

        if (exitCode != 0 && failures.Count == failuresBefore)
        {
            FailProgram($"ctest ended with exit code {exitCode}; its output is above");
        }
    }

    public void Add(string name, KernelCheck check)
    {
        switch (check.Result)
        {
            case CheckResult.Passed:
                passed++;
                break;
            case CheckResult.Skipped:
                skipped++;
                skips.Add($"{name}: {check.Line}");
                break;
            default:
                failed++;
                failures.Add($"{name}: {check.Line}");
                break;
        }
    }

    public void Print(string? filter)
    {
        if (Succeeded && passed + skipped == 0)
        {
            failures.Add(filter is null ? "no test ran" : $"no test's name contains '{filter}'");
        }

        skips.ForEach(line => Console.WriteLine($"skipped: {line}"));
        failures.ForEach(line => Console.WriteLine($"failed: {line}"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{passed} passed, {failed} failed, {skipped} skipped"));
    }

    // A program that dies counts as one failure, so that the totals alone tell that not all is well.
    private void FailProgram(string line)
    {
        failed++;
        failures.Add(line);
    }

    private void Count(string program, XElement test)
    {
        string name = test.Attribute("name")!.Value;
        switch (test.Attribute("result")!.Value)
        {
            case "Pass":
                passed++;
                break;
            case "Skip":
                skipped++;
                skips.Add($"{name}: {test.Element("reason")?.Value.Trim()}");
                break;
            case "Fail":
                failed++;
                failures.Add($"{name} ({program})");
                break;
        }
    }
}
