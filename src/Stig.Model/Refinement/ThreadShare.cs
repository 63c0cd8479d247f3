namespace Stig.Model.Refinement;

/// <summary>How the threads of a refinement are divided.</summary>
/// <param name="Compute">Threads that compute on the CPU, or that feed devices.</param>
/// <param name="Codec">Threads that decode and encode, whichever there is to do.</param>
public readonly record struct ThreadShare(int Compute, int Codec)
{
    /// <summary>Divides threads: on the CPU a quarter decodes and encodes, with GPUs all but one a device.</summary>
    /// <param name="threads">All of them; 0 for as many as the container's quota allows (<see cref="Environment.ProcessorCount"/>).</param>
    /// <param name="gpus">Number of GPUs in use, 0 for the CPU.</param>
    public static ThreadShare Of(int threads, int gpus)
    {
        int all = threads > 0 ? threads : Environment.ProcessorCount;
        int codec = Math.Max(1, gpus > 0 ? all - gpus : all / 4);
        return new ThreadShare(gpus > 0 ? gpus : Math.Max(1, all - codec), codec);
    }
}
