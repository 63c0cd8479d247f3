using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Stig.Interop;

/// <summary>
/// Loads STIG's native CPU core and tells about it. The core is compiled once per instruction-set level
/// (<c>-v4</c>: AVX-512, <c>-v3</c>: AVX2 and FMA); the best one that the processor runs is taken.
/// </summary>
public static unsafe class NativeCore
{
    /// <summary>Name that the P/Invoke declarations use; resolved to one of the compiled levels.</summary>
    internal const string LibraryName = "stig_native";

    /// <summary>Environment variable that forces a level ("v3" or "v4"), for tests and comparisons.</summary>
    public const string LevelVariable = "STIG_NATIVE_LEVEL";

    private static readonly Lock Gate = new();
    private static nint handle;
    private static string path = "";

    /// <summary>Full path of the loaded core. Loads it if that has not happened.</summary>
    /// <exception cref="NativeLibraryMissingException">The core is not beside the program.</exception>
    public static string LoadedPath
    {
        get
        {
            Load();
            return path;
        }
    }

    /// <summary>Versions of the core and of oneDNN, and the instruction sets in use.</summary>
    /// <exception cref="NativeLibraryMissingException">The core is not beside the program.</exception>
    public static NativeCoreInfo Info
    {
        get
        {
            RawCoreInfo raw;
            Check(NativeMethods.stig_get_core_info(&raw));
            return new NativeCoreInfo(
                Marshal.PtrToStringUTF8((nint)raw.Version)!,
                Marshal.PtrToStringUTF8((nint)raw.IsaLevel)!.TrimStart('-'),
                Marshal.PtrToStringUTF8((nint)raw.DnnlIsa)!,
                new Version(raw.DnnlMajor, raw.DnnlMinor, raw.DnnlPatch));
        }
    }

    /// <summary>
    /// OpenMP threads that kernels use. The first use sets it to <see cref="Environment.ProcessorCount"/>, which heeds a
    /// container's quota, where OpenMP's own default does not.
    /// </summary>
    /// <exception cref="NativeCoreException">The value is below 1.</exception>
    public static int Threads
    {
        get => NativeMethods.stig_get_threads();
        set => Check(NativeMethods.stig_set_threads(value));
    }

    /// <summary>Throws when a status is not success.</summary>
    internal static void Check(CoreStatus status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != CoreStatus.Ok)
        {
            Throw(status, call);
        }
    }

    internal static string LastError() => Marshal.PtrToStringUTF8((nint)NativeMethods.stig_last_error()) ?? "";

    /// <summary>The loaded core. Loads it if that has not happened.</summary>
    internal static nint Handle
    {
        get
        {
            Load();
            return handle;
        }
    }

    private static void Throw(CoreStatus status, string call)
    {
        string message = LastError();
        throw new NativeCoreException(status, message.Length > 0 ? message : $"{call} returned {status}");
    }

    private static void Load()
    {
        lock (Gate)
        {
            if (handle != 0)
            {
                return;
            }

            List<string> tried = [];
            foreach (string level in Levels())
            {
                string candidate = Path.Combine(AppContext.BaseDirectory, $"lib{LibraryName}{level}.so");
                if (!File.Exists(candidate))
                {
                    tried.Add($"{candidate}: not there");
                    continue;
                }

                try
                {
                    LimitSpinning();
                    handle = NativeLibrary.Load(candidate);
                    path = candidate;
                    delegate* unmanaged<int, int> setThreads =
                        (delegate* unmanaged<int, int>)NativeLibrary.GetExport(handle, "stig_set_threads");
                    _ = setThreads(Environment.ProcessorCount);
                    return;
                }
                catch (DllNotFoundException e)
                {
                    tried.Add($"{candidate}: {e.Message.ReplaceLineEndings(" ")}");
                }
            }

            throw new NativeLibraryMissingException(
                "STIG's native core could not be loaded. Tried: " + string.Join("; ", tried) +
                ". Build it with ./build.sh; it needs oneDNN, KissFFT and ISA-L (Debian packages libdnnl2, libkissfft-float131, libisal2).");
        }
    }

    // OpenMP threads wait for work by spinning, by default for milliseconds. On a machine that is busy otherwise that takes
    // the time from those they wait for (a training step was measured thirty times as slow). libgomp reads this once, when it
    // is loaded; a value that the user has set stays.
    private static void LimitSpinning()
    {
        if (OperatingSystem.IsLinux())
        {
            _ = NativeMethods.setenv("GOMP_SPINCOUNT", "20000", 0);
        }
    }

    private static IEnumerable<string> Levels()
    {
        string? forced = Environment.GetEnvironmentVariable(LevelVariable);
        if (!string.IsNullOrEmpty(forced))
        {
            return ["-" + forced.TrimStart('-')];
        }

        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            return [""];
        }

        return ProcessorInfo.HasAvx512 ? ["-v4", "-v3"] : ["-v3"];
    }
}

/// <summary>What the native core says of itself.</summary>
/// <param name="Version">Version of the core.</param>
/// <param name="IsaLevel">Instruction-set level it was compiled for ("v3", "v4", or empty off x86-64).</param>
/// <param name="DnnlIsa">Instruction set that oneDNN generates code for on this processor.</param>
/// <param name="DnnlVersion">Version of oneDNN.</param>
public sealed record NativeCoreInfo(string Version, string IsaLevel, string DnnlIsa, Version DnnlVersion);
