using System.Runtime.InteropServices;
using Stig.Interop.Cuda.Loading;
using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.DriverApi;

namespace Stig.Interop.Cuda;

/// <summary>The CUDA driver of this machine: loaded, initialised and checked once, when it is first needed.</summary>
public static unsafe class CudaDriver
{
    /// <summary>Oldest driver that serves, as the driver writes versions: 12000 is CUDA 12.0.</summary>
    public const int MinimumVersion = 12000;

    /// <summary>Oldest compute capability that serves: 8.0, the first with bfloat16 tensor cores.</summary>
    public static readonly Version MinimumComputeCapability = new(8, 0);

    internal const string DriverRemedy = "Install an NVIDIA driver for CUDA 12 or newer (525 or newer on Linux).";

    private static readonly Lock Gate = new();
    private static int version;

    /// <summary>CUDA version that the driver supports, as the driver writes it: 12040 is 12.4.</summary>
    /// <exception cref="CudaUnavailableException">There is no driver, or it cannot be used.</exception>
    public static int Version
    {
        get
        {
            Initialize();
            return version;
        }
    }

    /// <summary>File that the driver was loaded from.</summary>
    /// <exception cref="CudaUnavailableException">There is no driver, or it cannot be used.</exception>
    public static string Path
    {
        get
        {
            Initialize();
            return CudaLibraries.Loader.Find(CudaLibrary.Driver)!.Path;
        }
    }

    /// <summary>GPUs that the driver shows to this process (CUDA_VISIBLE_DEVICES hides others).</summary>
    /// <exception cref="CudaUnavailableException">There is no driver, or it cannot be used.</exception>
    public static int DeviceCount
    {
        get
        {
            Initialize();
            int count;
            Check(cuDeviceGetCount(&count));
            return count;
        }
    }

    /// <summary>Loads and initialises the driver; does nothing when that has been done.</summary>
    /// <exception cref="CudaUnavailableException">
    /// There is no driver, it is older than <see cref="MinimumVersion"/>, it is the toolkit's stub, or it sees no GPU.
    /// </exception>
    public static void Initialize()
    {
        lock (Gate)
        {
            if (version != 0)
            {
                return;
            }

            int found = 0;
            CudaResult status = cuDriverGetVersion(&found);
            RequireVersion(found);
            if (status == CudaResult.Success)
            {
                status = cuInit(0);
            }

            if (status != CudaResult.Success)
            {
                throw InitializationFailure(status, CudaLibraries.Loader.Find(CudaLibrary.Driver)!.Path);
            }

            version = found;
        }
    }

    /// <summary>Makes a profiler that waits for it (nsys -c cudaProfilerApi) start to collect.</summary>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public static void StartProfiler() => Check(cuProfilerStart());

    /// <summary>Makes such a profiler stop.</summary>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public static void StopProfiler() => Check(cuProfilerStop());

    /// <summary>The same where nothing may be thrown: a failure is noted in the context.</summary>
    internal static void StopProfiler(CudaContext context) => context.NoteRelease(cuProfilerStop(), nameof(cuProfilerStop));

    /// <summary>Refuses a driver that is too old. A version of 0 is unknown and passes: initialisation will say more.</summary>
    internal static void RequireVersion(int found)
    {
        if (found is > 0 and < MinimumVersion)
        {
            throw new CudaUnavailableException(
                $"The NVIDIA driver supports CUDA {Versions.OfCuda(found)}, but CUDA {Versions.OfCuda(MinimumVersion)} is needed. {DriverRemedy}");
        }
    }

    /// <summary>Why initialisation failed, in words that say what to do.</summary>
    internal static CudaUnavailableException InitializationFailure(CudaResult status, string path)
    {
        StatusText text = CudaResultText.Describe(status);
        string reason = status switch
        {
            CudaResult.StubLibrary =>
                $"{path} is the toolkit's stub for linking, not a driver. Take its folder (lib64/stubs) out of LD_LIBRARY_PATH; the driver brings its own libcuda.so.1.",
            CudaResult.NoDevice =>
                "The NVIDIA driver sees no GPU. See whether nvidia-smi lists one and what CUDA_VISIBLE_DEVICES says; in a container, start it with GPU access.",
            CudaResult.SystemDriverMismatch =>
                $"{path} and the kernel's part of the NVIDIA driver are of different versions. Restart the machine after the driver's update.",
            _ => $"The NVIDIA driver ({path}) could not be initialised: {text.Sentence}.",
        };
        return new CudaUnavailableException(
            FormattableString.Invariant($"{reason} (cuInit: {text.Name}, {(int)status})"),
            new FailedCall(CudaResultText.Library, nameof(cuInit), (int)status, text.Name));
    }
}

/// <summary>What a GPU is and has.</summary>
/// <param name="Ordinal">Its number, as in "cuda:0".</param>
/// <param name="Name">Its name.</param>
/// <param name="ComputeCapability">Its compute capability.</param>
/// <param name="MemoryBytes">Its memory.</param>
/// <param name="Multiprocessors">Number of its multiprocessors.</param>
/// <param name="MaxThreadsPerMultiprocessor">Threads that one of them holds at once.</param>
/// <param name="SharedMemoryPerBlock">Bytes of shared memory a block may have once its kernel asked for more than the default.</param>
/// <param name="L2CacheBytes">Its second-level cache.</param>
/// <param name="SupportsMemoryPools">Whether it allocates in stream order from pools.</param>
public sealed record CudaDeviceInfo(
    int Ordinal, string Name, Version ComputeCapability, long MemoryBytes, int Multiprocessors, int MaxThreadsPerMultiprocessor,
    int SharedMemoryPerBlock, int L2CacheBytes, bool SupportsMemoryPools)
{
    /// <summary>Its name on the command line: "cuda:0".</summary>
    public string DeviceName => FormattableString.Invariant($"cuda:{Ordinal}");

    /// <summary>The driver's own number for it.</summary>
    internal int Device { get; init; }

    /// <summary>Reads what the driver says about a GPU.</summary>
    /// <param name="ordinal">0 to the number of GPUs less one.</param>
    /// <exception cref="CudaUnavailableException">There is no driver, or no GPU of that number.</exception>
    /// <exception cref="CudaException">The driver failed.</exception>
    public static CudaDeviceInfo Get(int ordinal)
    {
        int count = CudaDriver.DeviceCount;
        if (ordinal < 0 || ordinal >= count)
        {
            throw new CudaUnavailableException(OutOfRange(ordinal, count));
        }

        unsafe
        {
            int device;
            Check(cuDeviceGet(&device, ordinal), $"device {ordinal} of {count}");
            return Read(ordinal, device);
        }
    }

    internal static string OutOfRange(int ordinal, int count) => count == 0
        ? FormattableString.Invariant($"There is no cuda:{ordinal}: the driver shows no GPU to this process.")
        : FormattableString.Invariant($"There is no cuda:{ordinal}: the driver shows {count} GPU{(count == 1 ? "" : "s")} to this process, cuda:0{(count == 1 ? "" : $" to cuda:{count - 1}")}.");

    internal static unsafe CudaDeviceInfo Read(int ordinal, int device)
    {
        const int Capacity = 256;
        byte* name = stackalloc byte[Capacity];
        Check(cuDeviceGetName(name, Capacity, device));
        nuint bytes;
        Check(cuDeviceTotalMem_v2(&bytes, device));
        return new CudaDeviceInfo(
            ordinal,
            Marshal.PtrToStringUTF8((nint)name)!,
            new Version(Attribute(DeviceAttribute.ComputeCapabilityMajor), Attribute(DeviceAttribute.ComputeCapabilityMinor)),
            (long)bytes,
            Attribute(DeviceAttribute.MultiprocessorCount),
            Attribute(DeviceAttribute.MaxThreadsPerMultiprocessor),
            Attribute(DeviceAttribute.SharedMemoryPerBlockOptIn),
            Attribute(DeviceAttribute.L2CacheBytes),
            Attribute(DeviceAttribute.MemoryPoolsSupported) != 0)
        {
            Device = device,
        };

        int Attribute(DeviceAttribute attribute)
        {
            int value;
            Check(cuDeviceGetAttribute(&value, attribute, device), $"attribute {attribute}");
            return value;
        }
    }

    /// <summary>Why this GPU cannot be used; null when it can.</summary>
    internal string? Unsuitability => ComputeCapability >= CudaDriver.MinimumComputeCapability
        ? null
        : $"{DeviceName} ({Name}) has compute capability {ComputeCapability}, but {CudaDriver.MinimumComputeCapability} is needed (NVIDIA Ampere, 2020, or newer)";
}
