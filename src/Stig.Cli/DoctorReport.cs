using System.Globalization;
using System.Runtime.InteropServices;
using Stig.Interop;
using Stig.Interop.Cuda;
using Stig.Model;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Cli;

/// <summary>Something that is missing or out of the ordinary.</summary>
/// <param name="Needed">Whether the program cannot work without it.</param>
/// <param name="What">What it is.</param>
/// <param name="Remedy">What to do.</param>
internal sealed record Problem(bool Needed, string What, string Remedy);

/// <summary>The native core in use.</summary>
internal sealed record NativeCoreReport(
    string Path, string Version, string Level, string OneDnnVersion, string OneDnnInstructionSet, int Threads);

/// <summary>How refine divides the threads of this machine.</summary>
/// <param name="Cpu">On the CPU.</param>
/// <param name="AllGpus">With all GPUs that can be used; null without any.</param>
internal sealed record RefineReport(ThreadShare Cpu, ThreadShare? AllGpus);

/// <summary>The machine and the libraries in use.</summary>
internal sealed record DoctorReport(
    string ProgramVersion,
    string Runtime,
    string System,
    string Architecture,
    string Processor,
    int Processors,
    IReadOnlyList<string> Features,
    string? Quota,
    long MemoryBytes,
    NativeCoreReport? NativeCore,
    RefineReport Refine,
    string? Skia,
    CudaReport Cuda,
    IReadOnlyList<Problem> Problems)
{
    // Those that decide how fast the native core and oneDNN compute.
    private static readonly string[] TellingFeatures =
        ["sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "asimd"];

    /// <summary>Looks at this machine.</summary>
    public static DoctorReport Examine()
    {
        List<Problem> problems = [];
        NativeCoreReport? core = ExamineCore(problems);
        string? skia = ExamineSkia(problems);
        CudaReport cuda = CudaProbe.Run(withFreeMemory: true);
        if (cuda.DriverVersion is not null && cuda.Problem is not null)
        {
            problems.Add(new(false, $"There is a GPU's driver, but no GPU can be used: {cuda.Problem}",
                cuda.Libraries.FirstOrDefault(library => library.Problem == cuda.Problem)?.Remedy ?? ""));
        }

        if (RuntimeInformation.ProcessArchitecture == global::System.Runtime.InteropServices.Architecture.X64 && !ProcessorInfo.HasAvx512)
        {
            problems.Add(new(false, "The processor has no AVX-512;", "computing works with AVX2, but is slower."));
        }

        int gpus = cuda.Problem is null ? cuda.Devices.Count(device => device.Problem is null) : 0;
        return new DoctorReport(
            Model.ProgramVersion.Current,
            Environment.Version.ToString(),
            SystemName(),
            RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant(),
            ProcessorInfo.Name ?? "unknown",
            Environment.ProcessorCount,
            [.. TellingFeatures.Where(ProcessorInfo.Has)],
            ContainerQuota(),
            GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            core,
            new RefineReport(ThreadShare.Of(0, 0), gpus > 0 ? ThreadShare.Of(0, gpus) : null),
            skia,
            cuda,
            problems);
    }

    private static NativeCoreReport? ExamineCore(List<Problem> problems)
    {
        try
        {
            string path = Interop.NativeCore.LoadedPath;
            NativeCoreInfo info = Interop.NativeCore.Info;
            return new NativeCoreReport(
                path, info.Version, info.IsaLevel, info.DnnlVersion.ToString(), info.DnnlIsa, Interop.NativeCore.Threads);
        }
        catch (Exception error) when (error is NativeLibraryMissingException or NativeCoreException or DllNotFoundException)
        {
            problems.Add(new(true, "The native core cannot be used.", error.Message.ReplaceLineEndings(" ")));
            return null;
        }
    }

    private static string? ExamineSkia(List<Problem> problems)
    {
        try
        {
            return ImageCodec.LibraryVersion;
        }
        catch (Exception error) when (error is TypeInitializationException or DllNotFoundException)
        {
            string cause = (error.InnerException ?? error).Message.ReplaceLineEndings(" ");
            problems.Add(new(true, $"Skia, which reads and writes images, cannot be loaded: {cause}",
                "libSkiaSharp.so belongs beside the program; build again with ./build.sh."));
            return null;
        }
    }

    private static string SystemName()
    {
        const string release = "/etc/os-release", key = "PRETTY_NAME=";
        string? name = FirstLine(release, key);
        return name is null ? RuntimeInformation.OSDescription : $"{name[key.Length..].Trim('"')}, kernel {Environment.OSVersion.Version}";
    }

    private static string? FirstLine(string path, string start) =>
        File.Exists(path) ? File.ReadLines(path).FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal)) : null;

    // Control groups limit processor time: version 2 as "quota period" in one file, version 1 in two; "max" and -1 are no limit.
    private static string? ContainerQuota()
    {
        const string two = "/sys/fs/cgroup/cpu.max";
        const string one = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", onePeriod = "/sys/fs/cgroup/cpu/cpu.cfs_period_us";
        string[] values = File.Exists(two) ? File.ReadAllText(two).Split()
            : File.Exists(one) && File.Exists(onePeriod) ? [File.ReadAllText(one).Trim(), File.ReadAllText(onePeriod).Trim()]
            : [];
        return values.Length >= 2
            && double.TryParse(values[0], CultureInfo.InvariantCulture, out double quota) && quota > 0
            && double.TryParse(values[1], CultureInfo.InvariantCulture, out double period) && period > 0
            ? string.Create(CultureInfo.InvariantCulture, $"{quota / period:0.##} processors")
            : null;
    }
}
