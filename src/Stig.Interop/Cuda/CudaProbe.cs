using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;
using Stig.Interop.Cuda.Loading;

namespace Stig.Interop.Cuda;

/// <summary>A GPU as the probe found it.</summary>
/// <param name="Info">What it is; null when the driver could not say.</param>
/// <param name="Ordinal">Its number.</param>
/// <param name="FreeBytes">Bytes free on it; null when no context could be made or none was asked for.</param>
/// <param name="Problem">Why it cannot be used; null when it can.</param>
public sealed record CudaDeviceReport(CudaDeviceInfo? Info, int Ordinal, long? FreeBytes, string? Problem);

/// <summary>A library as the probe found it.</summary>
/// <param name="Name">"CUDA driver", "cuBLASLt", "cuBLAS", "cuFFT", "cuDNN 9".</param>
/// <param name="Path">File that was loaded; null when none was.</param>
/// <param name="Version">Its version; null when it was not loaded or does not say.</param>
/// <param name="Problem">Why it cannot be used; null when it can.</param>
/// <param name="Remedy">What to do; null when it can be used, or the problem says so.</param>
/// <param name="Tried">Places that were looked at, each with what came of it.</param>
public sealed record CudaLibraryReport(string Name, string? Path, string? Version, string? Problem, string? Remedy, IReadOnlyList<string> Tried);

/// <summary>What the probe found.</summary>
/// <param name="DriverVersion">CUDA version that the driver supports ("12.4"); null without a driver.</param>
/// <param name="Libraries">The driver and the libraries.</param>
/// <param name="Devices">The GPUs.</param>
/// <param name="Problem">Why no GPU can be used here, the first reason in the order driver, GPUs, libraries; null when one can.</param>
public sealed record CudaReport(
    string? DriverVersion, IReadOnlyList<CudaLibraryReport> Libraries, IReadOnlyList<CudaDeviceReport> Devices, string? Problem);

/// <summary>Finds out whether CUDA can be used here, without throwing: for diagnosis, and for choosing a device.</summary>
public static class CudaProbe
{
    /// <summary>Everything there is to know. Loads all libraries.</summary>
    /// <param name="withFreeMemory">
    /// Whether to ask for free memory, which takes a context on every usable GPU (a few hundred megabytes and about a second each).
    /// </param>
    public static CudaReport Run(bool withFreeMemory)
    {
        List<CudaLibraryReport> libraries = [Report(CudaLibrary.Driver, () => Versions.OfCuda(CudaDriver.Version))];
        string? driverProblem = libraries[0].Problem;
        List<CudaDeviceReport> devices = [];
        if (driverProblem is null)
        {
            libraries.Add(Report(CudaLibrary.BlasLt, () => Versions.OfBlas((long)BlasLtApi.cublasLtGetVersion())));
            libraries.Add(Report(CudaLibrary.Blas, () => $"of CUDA {CudaLibraries.Loader.Major}"));
            libraries.Add(Report(CudaLibrary.Fft, FftVersion));
            libraries.Add(Report(CudaLibrary.Dnn, () => Versions.OfDnn(DnnHandle.Version)));
            devices.AddRange(Devices(withFreeMemory));
        }

        string? problem = driverProblem
            ?? (devices.Exists(d => d.Problem is null) ? null : devices.Count > 0 ? devices[0].Problem : "The driver shows no GPU to this process.")
            ?? libraries.Find(l => l.Problem is not null)?.Problem;
        return new CudaReport(driverProblem is null ? libraries[0].Version : null, libraries, devices, problem);
    }

    /// <summary>
    /// Why a GPU cannot be used: driver, number, compute capability, then the libraries. Makes no context.
    /// </summary>
    /// <param name="ordinal">Its number.</param>
    /// <returns>One line with the reason and what to do; null when it can be used.</returns>
    public static string? WhyUnusable(int ordinal)
    {
        try
        {
            CudaDeviceInfo device = CudaDeviceInfo.Get(ordinal);
            if (device.Unsuitability is { } reason)
            {
                return reason + ".";
            }

            LoadLibraries();
            return null;
        }
        catch (CudaException e)
        {
            return e.Message;
        }
    }

    /// <summary>The numbers of the GPUs that <see cref="WhyUnusable"/> finds nothing against; none where there is no driver.</summary>
    public static IReadOnlyList<int> UsableDevices()
    {
        try
        {
            return [.. Enumerable.Range(0, CudaDriver.DeviceCount).Where(ordinal => WhyUnusable(ordinal) is null)];
        }
        catch (CudaException)
        {
            // Without a driver there is no GPU; WhyUnusable says what is missing.
            return [];
        }
    }

    /// <summary>The first GPU that can be used; makes no context.</summary>
    /// <param name="problem">Why there is none, without what was tried; empty when there is one.</param>
    /// <returns>Its number; null when there is none.</returns>
    public static int? FirstUsable(out string problem)
    {
        problem = "The driver shows no GPU to this process.";
        try
        {
            int count = CudaDriver.DeviceCount;
            for (int ordinal = 0; ordinal < count; ordinal++)
            {
                CudaDeviceInfo device = CudaDeviceInfo.Get(ordinal);
                if (device.Unsuitability is not { } reason)
                {
                    LoadLibraries();
                    problem = "";
                    return ordinal;
                }

                problem = ordinal == 0 ? reason + "." : problem;
            }
        }
        catch (CudaException e)
        {
            problem = (e as CudaUnavailableException)?.Reason ?? e.Message;
        }

        return null;
    }

    private static void LoadLibraries()
    {
        foreach (CudaLibrary library in Enum.GetValues<CudaLibrary>())
        {
            _ = CudaLibraries.Loader.Load(library);
        }
    }

    private static unsafe string FftVersion()
    {
        int version;
        CudaCheck.Check(FftApi.cufftGetVersion(&version));
        return Versions.OfFft(version);
    }

    private static CudaLibraryReport Report(CudaLibrary library, Func<string> version)
    {
        string? found = null;
        string? problem = null;
        string? remedy = null;
        try
        {
            _ = CudaLibraries.Loader.Load(library);
            found = version();
        }
        catch (CudaException e)
        {
            problem = (e as CudaUnavailableException)?.Reason ?? e.Message;
            remedy = (e as CudaUnavailableException)?.Remedy;
        }

        string title = CudaLibraryNames.Title(library);
        return new CudaLibraryReport(
            title, CudaLibraries.Loader.Find(library)?.Path, found, problem, remedy,
            [.. CudaLibraries.Loader.Attempts.Where(a => a.Library == title).Select(a => $"{a.Place}: {a.Outcome}").Distinct()]);
    }

    private static List<CudaDeviceReport> Devices(bool withFreeMemory)
    {
        List<CudaDeviceReport> reports = [];
        int count = CudaDriver.DeviceCount;
        for (int ordinal = 0; ordinal < count; ordinal++)
        {
            CudaDeviceInfo? info = null;
            try
            {
                info = CudaDeviceInfo.Get(ordinal);
                string? problem = info.Unsuitability;
                long? free = null;
                if (problem is null && withFreeMemory)
                {
                    nint before = CudaContext.CurrentHandle;
                    using (CudaContext context = CudaContext.Open(ordinal))
                    {
                        free = context.Memory.Free;
                        CudaContext.CurrentHandle = before;
                    }
                }

                reports.Add(new CudaDeviceReport(info, ordinal, free, problem is null ? null : problem + "."));
            }
            catch (CudaException e)
            {
                reports.Add(new CudaDeviceReport(info, ordinal, null, e.Message));
            }
        }

        return reports;
    }
}
