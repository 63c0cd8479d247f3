// The build program: ./build.sh VERB, ./build.ps1 VERB or dotnet run build.cs -- VERB. A verb is one entry of the table below.
#:property PublishAot=false

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Xml;
using System.Xml.Linq;

Verb[] verbs = [];
verbs =
[
    new("build", "", "install what is missing and build everything; the program is artifacts/stig/stig", _ => Build()),
    new("test", "[--filter NAME] [ARGS]", "build, run all tests or those whose name contains NAME; ARGS go to each test program", Test),
    new("demo", "[ARGS]", "build the program and run `stig demo --out artifacts/demo ARGS`", Demo),
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
        Console.WriteLine($"  {$"{verb.Name} {verb.Usage}",-29} {verb.Description}");
    }

    return 0;
}

static int Build()
{
    SetUp();
    BuildNative();
    Heading("solution");
    Run("dotnet", "build", "Stig.sln", "-c", "Release", "--nologo");
    Run("dotnet", "publish", "src/Stig.Cli", "-c", "Release", "--nologo", "--no-build", "-o", "artifacts/stig");
    return 0;
}

// Only what the program needs is built, so that a first look does not wait for the test projects.
static int Demo(string[] arguments)
{
    SetUp();
    BuildNative();
    Heading("program");
    Run("dotnet", "publish", "src/Stig.Cli", "-c", "Release", "--nologo", "-o", "artifacts/stig");
    Heading("demo");
    return Start(Path.GetFullPath("artifacts/stig/stig"), ["demo", "--out", "artifacts/demo", .. arguments]);
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
        ("ocl-icd-opencl-dev", HasHeader("CL/cl.h")),
        ("libkissfft-dev", HasHeader("kissfft/kiss_fft.h")),
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

static void BuildNative()
{
    Heading("native core");
    string output = Path.GetFullPath("artifacts/native");
    Run("cmake", "-S", ".", "-B", "artifacts/cmake", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-Werror=dev",
        $"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={output}");
    Run("cmake", "--build", "artifacts/cmake");
}

// Runs the test programs one after another, takes the counts from the report that each writes, and ends with the totals.
static int Test(string[] arguments)
{
    (string? filter, string[] passedOn) = TakeFilter(arguments);
    Build();

    string results = Path.GetFullPath("artifacts/tests");
    if (Directory.Exists(results))
    {
        Directory.Delete(results, recursive: true);
    }

    Totals totals = new();
    foreach (string program in Directory.EnumerateFiles("tests", "*.csproj", SearchOption.AllDirectories)
        .Select(path => Path.GetFileNameWithoutExtension(path)!).Order(StringComparer.Ordinal))
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

    Heading("totals");
    totals.Print(filter);
    return totals.Succeeded ? 0 : 1;
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

static bool OnPath(string program) =>
    (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Any(folder => File.Exists(Path.Combine(folder, program)) || File.Exists(Path.Combine(folder, program + ".exe")));

static bool HasHeader(string header) =>
    (Environment.GetEnvironmentVariable("CMAKE_PREFIX_PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Append("/usr").Append("/usr/local")
        .Any(prefix => File.Exists(Path.Combine(prefix, "include", header)));

static string Root([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;

internal sealed record Verb(string Name, string Usage, string Description, Func<string[], int> Run);

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
